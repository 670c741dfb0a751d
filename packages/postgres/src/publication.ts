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

/** What is wrong with the publication: `missing`, or the mistakes by which changes would be lost, each with its remedy. */
async function inspectPublication(client: Client, source: Source): Promise<'missing' | readonly string[]> {
  const { rows } = await client.query<{ publishes_all: boolean }>(
    `select pubinsert and pubupdate and pubdelete and pubtruncate as publishes_all
       from pg_publication where pubname = $1`,
    [source.publication],
  )
  if (!rows[0]) return 'missing'
  const mistakes = rows[0].publishes_all ? [] : [publishesTooLittle(source)]
  return [...mistakes, ...(await missingTables(client, source))]
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
  if (found === 'missing') await createPublication(client, source)
  else throw incomplete(source, found)
}

/** Throws PUBLICATION_INCOMPLETE if somebody altered or dropped the publication while we stream. */
export async function checkPublication(client: Client, source: Source): Promise<void> {
  const found = await inspectPublication(client, source)
  if (found !== 'missing' && found.length === 0) return
  await distrustNewestEpoch(client, source.name)
  throw incomplete(source, found === 'missing' ? ['Nothing to do: it is made again at the next start'] : found)
}

function incomplete({ publication }: Source, mistakes: readonly string[]): TidemarkError {
  return new TidemarkError('PUBLICATION_INCOMPLETE', `publication ${publication} loses changes`, {
    mend: mistakes.join('; '),
  })
}

async function createPublication(client: Client, source: Source): Promise<void> {
  await client.query(
    `create publication ${quoteIdentifier(source.publication)} for table ${tablesOf(source).map(quoteTable).join(', ')}
       with (publish_via_partition_root = true)`,
  )
}

function publishesTooLittle(source: Source): string {
  return (
    `Run: ALTER PUBLICATION ${quoteIdentifier(source.publication)} ` +
    `SET (publish = 'insert, update, delete, truncate')`
  )
}

/** The view names tables as changes will name them: a partitioned one by its root, or by its leaves. */
async function missingTables(client: Client, source: Source): Promise<string[]> {
  // Whole rows as JSON: row filters and column lists exist from Postgres 15 on.
  const { rows } = await client.query<{ row: PublishedTable }>(
    'select to_jsonb(t) as row from pg_publication_tables t where pubname = $1',
    [source.publication],
  )
  const published = new Map(rows.map(({ row }) => [`${row.schemaname}.${row.tablename}`, row]))
  const name = quoteIdentifier(source.publication)
  return tablesOf(source).flatMap((table) => {
    const row = published.get(table)
    if (!row) return [`Run: ALTER PUBLICATION ${name} ADD TABLE ${quoteTable(table)}${VIA_ROOT}`]
    if (row.rowfilter) return [`Take the row filter of ${table} out of ${name}: what it hides changes unseen`]
    const hidden = neededColumns(source, table).filter((column) => row.attnames?.includes(column) === false)
    return hidden.length > 0 ? [`Add ${hidden.join(', ')} to the column list of ${table} in ${name}`] : []
  })
}

interface PublishedTable {
  readonly schemaname: string
  readonly tablename: string
  readonly rowfilter?: string | null
  readonly attnames?: readonly string[] | null
}

const VIA_ROOT = ' (if it is partitioned and its partitions are in: SET (publish_via_partition_root = true))'
