import { quoteIdentifier, quoteTable, type TableMistake } from '@tidemark/postgres'
import type { Source } from '@tidemark/protocol'
import type { RelationFacts } from '../facts/relation-facts.ts'
import type { SourceFacts } from '../facts/source-facts.ts'
import type { Finding } from './finding.ts'

const UNSEEN = 'changes go unseen: cached values stay stale until their time to live ends'

function error(check: string, what: string, breaks: string, mend: string): Finding {
  return { severity: 'error', check, where: 'source', what, breaks, mend }
}

/** Tables and publication: every way in which a change of a row would not reach the stream, or could not be keyed. */
export function tableFindings(source: Source, facts: SourceFacts): Finding[] {
  if (facts.server.inRecovery) return []
  const relations = facts.relations.flatMap((relation) => relationFindings(source, relation))
  return [...publicationFindings(source, facts), ...relations, ...refused(facts), ...unprojected(source, facts)]
}

function publicationFindings({ publication }: Source, { publication: found }: SourceFacts): Finding[] {
  if (found === 'missing') {
    const mend = 'tidemark init, or tidemark init --print-sql where the role may not create it'
    return [
      error('publication-missing', `there is no publication ${publication}`, 'the publisher has to make it', mend),
    ]
  }
  return found.map(({ what, mend }) =>
    error('publication', `publication ${publication}: ${what}`, `${UNSEEN}; the publisher refuses to start`, mend),
  )
}

function relationFindings(source: Source, relation: RelationFacts): Finding[] {
  const { table, kind, persistence } = relation
  if (kind === undefined) return []
  if (kind !== 'r' && kind !== 'p') {
    return [
      error('not-a-table', `${table} is a ${KINDS[kind] ?? 'relation'}`, UNSEEN, 'Name the tables that it is made of'),
    ]
  }
  if (persistence !== 'p') {
    const logged = `ALTER TABLE ${quoteTable(table)} SET LOGGED, then add it to the publication`
    const mend = persistence === 'u' ? logged : 'Name a table that lasts: a temporary one is seen by its session alone'
    return [error('not-logged', `${table} is ${PERSISTENCE[persistence ?? '']}`, UNSEEN, mend)]
  }
  return [...relation.leaves.flatMap((leaf) => leafFindings(table, leaf)), ...heirFindings(source, relation)]
}

const KINDS: Readonly<Record<string, string>> = { v: 'view', m: 'materialized view', f: 'foreign table' }
const PERSISTENCE: Readonly<Record<string, string>> = { u: 'unlogged', t: 'temporary' }

function leafFindings(table: string, leaf: RelationFacts['leaves'][number]): Finding[] {
  const { name } = leaf
  if (leaf.kind === 'f') {
    const mend = 'Detach it, or let whoever writes there invalidate: its server has a log of its own'
    return [error('foreign-partition', `partition ${name} of ${table} is a foreign table`, UNSEEN, mend)]
  }
  if (leaf.persistence === 'p') return []
  return [error('not-logged', `partition ${name} of ${table} is unlogged`, UNSEEN, `ALTER TABLE ${name} SET LOGGED`)]
}

/** Without partitions, changes carry the name of the table that was written to: the keyspaces do not know it. */
function heirFindings(source: Source, { table, heirs }: RelationFacts): Finding[] {
  return heirs.map((heir) =>
    error(
      'inheritance',
      `${heir} inherits from ${table}`,
      `${table} shows its rows, and its ${UNSEEN}`,
      `Name ${heir} in the keyspaces that name ${table}, and: ` +
        `ALTER PUBLICATION ${quoteIdentifier(source.publication)} ADD TABLE ${heir}\n` +
        `or make it a partition; or ALTER TABLE ${heir} NO INHERIT ${quoteTable(table)}`,
    ),
  )
}

/** What the publisher would refuse, but for tables of which it is told already why. */
function refused({ mistakes, relations }: SourceFacts): Finding[] {
  const isTold = (table: string) => relations.some((r) => r.table === table && r.kind !== undefined && !isLogged(r))
  return mistakes
    .filter(({ table }) => !isTold(table))
    .map(({ code, what, mend }) => {
      const [check, breaks] = REFUSED[code]
      return error(check, what, breaks, mend)
    })
}

const UNKEYED = 'a change could not be keyed; the publisher refuses to start'
const AMBIGUOUS = 'one row would be taken for the whole value; the publisher refuses to start'

/** The check, and what goes wrong. */
const REFUSED: Readonly<Record<TableMistake['code'], readonly [string, string]>> = {
  TABLE_MISMATCH: ['tables', UNKEYED],
  REPLICA_IDENTITY_INSUFFICIENT: ['replica-identity', UNKEYED],
  KEY_OF_SEVERAL_ROWS: ['several-rows', AMBIGUOUS],
}

function unprojected({ publication }: Source, { unprojected: found }: SourceFacts): Finding[] {
  return found.map(({ keyspace, table, columns }) => ({
    severity: 'warning',
    check: 'projection',
    where: 'source',
    what: `the stream does not carry what the projection of ${keyspace} shows of ${table}: ${columns.join(', ')}`,
    breaks: 'a change invalidates the value instead of updating it in place',
    mend: `Name columns of ${table} that publication ${publication} publishes, or add these to its column list`,
  }))
}

function isLogged({ kind, persistence }: RelationFacts): boolean {
  return (kind === 'r' || kind === 'p') && persistence === 'p'
}
