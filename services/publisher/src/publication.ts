import { type Source, TidemarkError } from '@tidemark/protocol'
import type { Client } from 'pg'
import { quoteIdentifier, quoteTable } from './postgres.ts'

/** The tables that the source's keyspaces name, each once. */
export function tablesOf(source: Source): string[] {
  return [...new Set(Object.values(source.keyspaces).flatMap((k) => Object.keys(k.tables)))].sort()
}

/** Of a table: the columns that some template needs. */
export function neededColumns(source: Source, table: string): string[] {
  const columns = Object.values(source.keyspaces).flatMap((k) => Object.values(k.tables[table] ?? {}))
  return [...new Set(columns)].sort()
}

/**
 * Creates the publication if it is missing, for exactly the source's tables. One that exists is never altered: it
 * may be shared. If something would be lost with it, throws PUBLICATION_INCOMPLETE with what mends it.
 *
 * @returns whether it was created: a slot from before then could not be decoded with it
 */
export async function ensurePublication(client: Client, source: Source): Promise<{ readonly created: boolean }> {
  const { rows } = await client.query<{ publishes_all: boolean }>(
    `select pubinsert and pubupdate and pubdelete and pubtruncate as publishes_all
       from pg_publication where pubname = $1`,
    [source.publication],
  )
  if (!rows[0]) {
    await createPublication(client, source)
    return { created: true }
  }
  const mistakes = rows[0].publishes_all ? [] : [publishesTooLittle(source)]
  mistakes.push(...(await missingTables(client, source)))
  if (mistakes.length === 0) return { created: false }
  throw new TidemarkError('PUBLICATION_INCOMPLETE', `publication ${source.publication} would lose changes`, {
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
