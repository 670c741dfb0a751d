import { type Source, TidemarkError } from '@tidemark/protocol'
import type { Client } from 'pg'
import { distrustNewestEpoch } from './epoch.ts'
import { quoteIdentifier, quoteTable } from './identifier.ts'

/** The tables that the source's keyspaces name, each once. */
export function tablesOf(source: Source): string[] {
  return [...new Set(Object.values(source.keyspaces).flatMap((k) => Object.keys(k.tables)))].sort()
}

/** Of a table: the columns that some template needs. */
export function neededColumns(source: Source, table: string): string[] {
  const columns = Object.values(source.keyspaces).flatMap((k) => Object.values(k.tables[table] ?? {}))
  return [...new Set(columns)].sort()
}

/** Of a table: the columns that some projection shows, which need not be in the replica identity. */
export function projectedColumns(source: Source, table: string): string[] {
  const projections = Object.values(source.keyspaces).filter((k) => Object.hasOwn(k.tables, table))
  const columns = projections.flatMap((k) => Object.values(k.projection ?? {}).map(({ column }) => column))
  return [...new Set(columns)].sort()
}

/** A way in which changes would be lost, and what mends it: SQL to run, or a sentence. */
export interface PublicationMistake {
  readonly what: string
  readonly mend: string
}

/** `missing`, or the mistakes by which changes would be lost: none when the publication is whole. */
export async function inspectPublication(
  client: Client,
  source: Source,
): Promise<'missing' | readonly PublicationMistake[]> {
  const { rows } = await client.query<{ publishes_all: boolean; via_root: boolean }>(
    `select pubinsert and pubupdate and pubdelete and pubtruncate as publishes_all, pubviaroot as via_root
       from pg_publication where pubname = $1`,
    [source.publication],
  )
  if (!rows[0]) return 'missing'
  const mistakes = rows[0].publishes_all ? [] : [publishesTooLittle(source)]
  return [...mistakes, ...(await missingTables(client, source, rows[0].via_root))]
}

/**
 * Creates the publication if it is missing, for exactly the source's tables. One that exists is never altered: it may
 * be shared. If something would be lost with it, throws PUBLICATION_INCOMPLETE. In both cases the epoch ends first:
 * what changed while the publication was not whole was not, and will not be, delivered.
 */
export async function ensurePublication(client: Client, source: Source): Promise<void> {
  const found = await inspectPublication(client, source)
  if (found !== 'missing' && found.length === 0) return
  await distrustNewestEpoch(client, source.name)
  if (found === 'missing') await client.query(createPublication(source))
  else throw incomplete(source, found)
}

/** Throws PUBLICATION_INCOMPLETE if somebody altered or dropped the publication while we stream. */
export async function checkPublication(client: Client, source: Source): Promise<void> {
  const found = await inspectPublication(client, source)
  if (found !== 'missing' && found.length === 0) return
  await distrustNewestEpoch(client, source.name)
  throw incomplete(source, found === 'missing' ? [DROPPED] : found)
}

const DROPPED: PublicationMistake = { what: 'it is gone', mend: 'Nothing to do: it is made again at the next start' }

function incomplete({ publication }: Source, mistakes: readonly PublicationMistake[]): TidemarkError {
  return new TidemarkError('PUBLICATION_INCOMPLETE', `publication ${publication} loses changes`, {
    mend: mistakes.map(({ mend }) => mend).join('; '),
  })
}

/** As a statement: a publication of exactly the source's tables, of which there may be none. */
export function createPublication(source: Source): string {
  const tables = tablesOf(source).map(quoteTable)
  return (
    `create publication ${quoteIdentifier(source.publication)} ` +
    `${tables.length > 0 ? `for table ${tables.join(', ')} ` : ''}with (publish_via_partition_root = true)`
  )
}

function publishesTooLittle(source: Source): PublicationMistake {
  const name = quoteIdentifier(source.publication)
  return {
    what: 'it does not publish every kind of change',
    mend: `Run: ALTER PUBLICATION ${name} SET (publish = 'insert, update, delete, truncate')`,
  }
}

/** The view names tables as changes will name them: a partitioned one by its root, or by its leaves. */
async function missingTables(client: Client, source: Source, viaRoot: boolean): Promise<PublicationMistake[]> {
  // Whole rows as JSON: row filters and column lists exist from Postgres 15 on.
  const { rows } = await client.query<{ row: PublishedTable }>(
    'select to_jsonb(t) as row from pg_publication_tables t where pubname = $1',
    [source.publication],
  )
  const published = new Map(rows.map(({ row }) => [`${row.schemaname}.${row.tablename}`, row]))
  const byLeaves = viaRoot ? [] : await partitioned(client)
  return tablesOf(source).flatMap((table) => {
    const row = published.get(table)
    if (row) return hiding(source, table, row)
    return [byLeaves.includes(table) ? namesLeaves(source, table) : lacks(source, table)]
  })
}

async function partitioned(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ table: string }>(
    `select concat(n.nspname, '.', c.relname) as table
       from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'p'`,
  )
  return rows.map(({ table }) => table)
}

function lacks({ publication }: Source, table: string): PublicationMistake {
  const mend = `Run: ALTER PUBLICATION ${quoteIdentifier(publication)} ADD TABLE ${quoteTable(table)}`
  return { what: `table ${table} is not in it`, mend }
}

function namesLeaves({ publication }: Source, table: string): PublicationMistake {
  const mend = `Run: ALTER PUBLICATION ${quoteIdentifier(publication)} SET (publish_via_partition_root = true)`
  return { what: `it knows ${table} by its partitions, if at all`, mend }
}

function hiding(source: Source, table: string, row: PublishedTable): PublicationMistake[] {
  const name = quoteIdentifier(source.publication)
  if (row.rowfilter) {
    const mend = `Take the row filter of ${table} out of ${name}: what it hides changes unseen`
    return [{ what: `it has a row filter for ${table}`, mend }]
  }
  const hidden = neededColumns(source, table).filter((column) => row.attnames?.includes(column) === false)
  if (hidden.length === 0) return []
  const mend = `Add ${hidden.join(', ')} to the column list of ${table} in ${name}`
  return [{ what: `it hides columns of ${table} that keys are made of`, mend }]
}

interface PublishedTable {
  readonly schemaname: string
  readonly tablename: string
  readonly rowfilter?: string | null
  readonly attnames?: readonly string[] | null
}
