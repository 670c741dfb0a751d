import type { Source } from '@tidemark/protocol'
import type { Client } from 'pg'

/** A keyspace that is updated in place in name only: its projection shows columns that the stream does not carry. */
export interface KeyspaceWithoutColumns {
  readonly keyspace: string
  readonly table: string
  readonly columns: readonly string[]
}

/**
 * Column lists exist from Postgres 15 on, and with them `attnames`. Before 18 no generated column is published, and
 * `attnames` names them all the same.
 */
const PUBLISHED = `
  select concat(t.schemaname, '.', t.tablename) as table, (
           select jsonb_agg(a.attname) from pg_attribute a
            where a.attrelid = format('%I.%I', t.schemaname, t.tablename)::regclass
              and a.attnum > 0 and not a.attisdropped
              and coalesce(to_jsonb(t) -> 'attnames' ? a.attname, true)
              and (a.attgenerated = '' or current_setting('server_version_num')::int >= 180000)) as columns
    from pg_publication_tables t where t.pubname = $1`

/** Where a change cannot be projected, whatever the row, and invalidates. No reason to refuse: nothing stale is served. */
export async function keyspacesWithoutColumns(client: Client, source: Source): Promise<KeyspaceWithoutColumns[]> {
  const updated = Object.values(source.keyspaces).filter((k) => k.projection !== undefined)
  if (updated.length === 0) return []
  const { rows } = await client.query<{ table: string; columns: readonly string[] }>(PUBLISHED, [source.publication])
  return updated.flatMap(({ name, tables, projection }) =>
    Object.keys(tables).flatMap((table) => {
      const published = rows.find((row) => row.table === table)?.columns
      const shown = Object.values(projection ?? {}).map(({ column }) => column)
      const columns = published ? [...new Set(shown)].filter((column) => !published.includes(column)) : []
      return columns.length > 0 ? [{ keyspace: name, table, columns }] : []
    }),
  )
}
