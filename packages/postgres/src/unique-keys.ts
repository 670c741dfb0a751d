import type { Keyspace, Source } from '@tidemark/protocol'
import type { Client } from 'pg'
import { quoteIdentifier, quoteTable } from './identifier.ts'

/** A keyspace that is updated in place, though two rows of its table may have one key. */
export interface KeyspaceOfSeveralRows {
  readonly keyspace: Keyspace
  readonly table: string
  /** Those of the key's template. */
  readonly columns: readonly string[]
  /** SQL. */
  readonly mend: string
}

interface UniqueKeys {
  readonly table: string
  readonly partitioned: boolean
  readonly keys: readonly (readonly string[])[]
}

/**
 * Of each table the columns of its unique indexes, those that are included for the sake of reading left out. That a check
 * is deferred does not matter: at commit it holds. Nor do nulls: they make no key.
 */
const UNIQUE_KEYS = `
  select named.table, c.relkind = 'p' as partitioned,
         (select coalesce(json_agg(k.columns), '[]') from (
            select json_agg(a.attname) as columns
              from pg_index i
              join pg_attribute a on a.attrelid = i.indrelid
               and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
             where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
             group by i.indexrelid) k) as keys
    from (select n as table, to_regclass(q)::oid as oid from unnest($1::text[], $2::text[]) u(n, q)) named
    join pg_class c on c.oid = named.oid`

/**
 * Those keyspaces for which a row's projection may not be the whole value. Asked at each look at the catalog, for an
 * index can go while the publisher runs. That ends the publisher and its epoch, rather than the updates alone: what was
 * published since the index went may already be one row of two, and the end of the epoch is what has it refilled.
 */
export async function keyspacesOfSeveralRows(client: Client, source: Source): Promise<KeyspaceOfSeveralRows[]> {
  const updated = Object.values(source.keyspaces).filter((k) => k.projection !== undefined)
  if (updated.length === 0) return []
  const tables = updated.flatMap((k) => Object.keys(k.tables))
  const { rows } = await client.query<UniqueKeys>(UNIQUE_KEYS, [tables, tables.map(quoteTable)])
  return updated.flatMap((keyspace) =>
    Object.entries(keyspace.tables).flatMap(([table, columnOf]) => {
      const columns = Object.values(columnOf)
      const found = rows.find((row) => row.table === table)
      if (!found || found.keys.some((key) => key.every((column) => columns.includes(column)))) return []
      return [{ keyspace, table, columns, mend: createIndex(found, columns) }]
    }),
  )
}

function createIndex({ table, partitioned }: UniqueKeys, columns: readonly string[]): string {
  const how = partitioned ? '' : 'CONCURRENTLY '
  return `CREATE UNIQUE INDEX ${how}ON ${quoteTable(table)} (${columns.map(quoteIdentifier).join(', ')})`
}
