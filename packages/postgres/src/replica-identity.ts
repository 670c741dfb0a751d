import { type Source, TidemarkError } from '@tidemark/protocol'
import type { Client } from 'pg'
import { quoteTable } from './identifier.ts'
import { neededColumns, projectedColumns, tablesOf } from './publication.ts'
import { readLayouts, type TableLayout } from './table-layout.ts'
import { keyspacesOfSeveralRows } from './unique-keys.ts'

/** What the catalog says of one table, or of one partition of it. */
interface TableFacts {
  /** schema.table of the source. */
  readonly table: string
  /** The relation itself: the table, or one of its partitions, whose own identity is what WAL carries. */
  readonly relation: string
  readonly identity: 'default' | 'index' | 'full' | 'nothing'
  readonly columns: readonly { readonly name: string; readonly type: string; readonly identity: boolean }[]
}

const FACTS = `
  with tree as (
    select t.relid as root, case when c.relkind = 'p' then p.relid::oid else t.relid end as oid
      from (select to_regclass($1)::oid as relid) t
      join pg_class c on c.oid = t.relid and c.relkind in ('r', 'p') and c.relpersistence = 'p'
      left join lateral pg_partition_tree(t.relid) p on c.relkind = 'p'
  )
  select format('%I.%I', n.nspname, c.relname) as relation,
         case c.relreplident when 'd' then 'default' when 'i' then 'index' when 'f' then 'full' else 'nothing' end
           as identity,
         (select json_agg(json_build_object(
                   'name', a.attname,
                   'type', format_type(a.atttypid, a.atttypmod),
                   'identity', c.relreplident = 'f' or coalesce(a.attnum = any(i.indkey), false)) order by a.attname)
            from pg_attribute a
           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
             -- A generated column is in the stream from 18 on, if it is stored and the publication wants it.
             and (a.attgenerated = '' or a.attgenerated = 's' and current_setting('server_version_num')::int >= 180000))
           as columns
    from tree
    join pg_class c on c.oid = tree.oid
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_index i on i.indrelid = c.oid and i.indisvalid
     and ((c.relreplident = 'd' and i.indisprimary and i.indimmediate) or (c.relreplident = 'i' and i.indisreplident))`

/** A table that cannot be keyed, and what mends it: SQL to run, or a sentence. */
export interface TableMistake {
  readonly code: 'TABLE_MISMATCH' | 'REPLICA_IDENTITY_INSUFFICIENT' | 'KEY_OF_SEVERAL_ROWS'
  /** schema.table of the source. */
  readonly table: string
  readonly what: string
  readonly mend: string
}

/**
 * Checks that every change of every table can be keyed: the tables and columns exist, and the replica identity
 * carries each column that a template needs, and what is updated in place has keys of one row each. Throws
 * TABLE_MISMATCH, REPLICA_IDENTITY_INSUFFICIENT or KEY_OF_SEVERAL_ROWS with all mistakes and what mends them.
 *
 * @returns a description of how keys are made and of what is in the tables, which changes with either
 */
export async function checkTables(client: Client, source: Source): Promise<string> {
  const facts = await readTables(client, source)
  const mistakes = await mistakesIn(client, source, facts)
  if (mistakes[0]) throw new TidemarkError(mistakes[0].code, list(mistakes))
  return describeKeys(source, facts, await readLayouts(client, source))
}

/** What `checkTables` would refuse. */
export async function inspectTables(client: Client, source: Source): Promise<TableMistake[]> {
  return mistakesIn(client, source, await readTables(client, source))
}

async function readTables(client: Client, source: Source): Promise<TableFacts[]> {
  const facts: TableFacts[] = []
  for (const table of tablesOf(source)) {
    const { rows } = await client.query<Omit<TableFacts, 'table'>>(FACTS, [quoteTable(table)])
    facts.push(...rows.map((row) => ({ ...row, columns: row.columns ?? [], table })))
  }
  return facts
}

/** What does not exist comes first: its code is the one that is thrown. */
async function mistakesIn(client: Client, source: Source, facts: readonly TableFacts[]): Promise<TableMistake[]> {
  const unkeyed = [...missingTables(source, facts), ...missingColumns(source, facts), ...weakIdentities(source, facts)]
  return [...unkeyed, ...(await keysOfSeveralRows(client, source))]
}

async function keysOfSeveralRows(client: Client, source: Source): Promise<TableMistake[]> {
  const found = await keyspacesOfSeveralRows(client, source)
  return found.map(({ keyspace, table, columns, mend }) => {
    const what = `two rows of ${table} may have one key of ${keyspace.name}, which is updated in place`
    return {
      code: 'KEY_OF_SEVERAL_ROWS',
      table,
      what: `${what}: no unique index lies within (${columns.join(', ')})`,
      mend,
    }
  })
}

function list(mistakes: readonly TableMistake[]): string {
  const lines = mistakes.map(({ code, what, mend }) => (code === 'TABLE_MISMATCH' ? what : `${what}. Run: ${mend}`))
  return `${mistakes.length} mistake(s):\n  ${lines.join('\n  ')}`
}

function mismatch(table: string, what: string): TableMistake {
  return { code: 'TABLE_MISMATCH', table, what, mend: 'Mend tidemark.config.ts, or the table' }
}

function missingTables(source: Source, facts: readonly TableFacts[]): TableMistake[] {
  return tablesOf(source)
    .filter((table) => !facts.some((f) => f.table === table))
    .map((table) =>
      mismatch(table, `there is no table ${table} (a view, or an unlogged table, has no changes to follow)`),
    )
}

function missingColumns(source: Source, facts: readonly TableFacts[]): TableMistake[] {
  return facts.flatMap(({ table, relation, columns }) => {
    const has = columns.map((c) => c.name)
    const lacking = neededColumns(source, table).filter((needed) => !has.includes(needed))
    return lacking.map((needed) =>
      mismatch(table, `table ${relation} has no column ${needed} that is replicated; it has ${has.join(', ')}`),
    )
  })
}

function weakIdentities(source: Source, facts: readonly TableFacts[]): TableMistake[] {
  return facts.flatMap(({ table, relation, identity, columns }) => {
    const lacking = neededColumns(source, table).filter((n) => columns.some((c) => c.name === n && !c.identity))
    if (lacking.length === 0 && identity !== 'nothing') return []
    const lacks = lacking.length > 0 ? `does not carry ${lacking.join(', ')}` : 'forbids UPDATE and DELETE'
    const what = `replica identity ${identity} of ${relation} ${lacks}`
    const mend = `ALTER TABLE ${relation} REPLICA IDENTITY FULL`
    return [{ code: 'REPLICA_IDENTITY_INSUFFICIENT', table, what, mend }]
  })
}

/** Two starts with equal descriptions make equal keys and projections from equal rows, and no row changed unseen between them. */
function describeKeys(source: Source, facts: readonly TableFacts[], layouts: ReadonlyMap<string, TableLayout>): string {
  const types = facts.flatMap(({ table, columns }) => {
    const used = [...neededColumns(source, table), ...projectedColumns(source, table)]
    return columns.filter((c) => used.includes(c.name)).map((c) => `${table}.${c.name} ${c.type}`)
  })
  const keyspaces = Object.values(source.keyspaces).map((k) => [
    k.name,
    k.key,
    Object.entries(k.tables)
      .map(([table, columns]) => [table, Object.entries(columns).sort()])
      .sort(),
    // Another projection makes another value, and readers shall not be handed both.
    ...(k.projection ? [Object.entries(k.projection).sort()] : []),
  ])
  return JSON.stringify({
    topic: source.topic,
    partitions: source.partitions,
    keyspaces: keyspaces.sort(),
    types: [...new Set(types)].sort(),
    tables: layoutsOf(layouts),
  })
}

/** The layout of each table, by its name. */
export type Layouts = Readonly<Record<string, string>>

/** As a description holds them: in the order of the names. */
export function layoutsOf(layouts: ReadonlyMap<string, TableLayout>): Layouts {
  return Object.fromEntries([...layouts].map(([table, { layout }]) => [table, layout] as const).sort())
}

/** What a description says of the layout of each table. */
export function layoutsIn(shape: string): Layouts {
  return (JSON.parse(shape) as { readonly tables?: Layouts }).tables ?? {}
}

/** Whether two descriptions make equal keys from equal rows; the rows may have changed unseen between them. */
export function makesSameKeys(a: string, b: string): boolean {
  const [one, other] = [a, b].map((shape) => {
    const { tables: _, ...keys } = JSON.parse(shape) as Readonly<Record<string, unknown>>
    return JSON.stringify(keys)
  })
  return one === other
}
