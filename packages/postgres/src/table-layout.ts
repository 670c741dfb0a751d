import type { Source } from '@tidemark/protocol'
import type { Client } from 'pg'
import { quoteTable } from './identifier.ts'
import { neededColumns, projectedColumns, tablesOf } from './publication.ts'

/** What the catalog says of a table that the stream does not: whether it is still the same one, with the same rows. */
export interface TableLayout {
  readonly oid: number
  /**
   * Another one means that rows may have changed without a word in the stream: the table was replaced, rewritten or
   * truncated, a partition was attached, detached or truncated, a column of a key or a projection is another, old rows
   * have got a default, or the table or one of its partitions may have been out of the publication for a while.
   */
  readonly layout: string
}

/**
 * The file changes with every TRUNCATE and rewrite (and with VACUUM FULL, CLUSTER and SET TABLESPACE, which change no
 * row). An ADD COLUMN whose default the old rows take without a rewrite shows in `atthasmissing`. What is taken away and
 * put back between two looks has another row in the catalog: of a partition, of the publication, and of a table in it.
 */
const LAYOUTS = `
  select named.table, named.oid::int8::text as oid, hashtextextended(string_agg(r.line, E'\\n' order by r.line), 0)::text as layout
    from (select n as table, to_regclass(q)::oid as oid from unnest($1::text[], $2::text[]) u(n, q)) named
    cross join lateral (
      select concat_ws(' ', c.oid, c.relfilenode, c.relpersistence, c.relreplident,
               (select h.xmin from pg_inherits h where h.inhrelid = c.oid),
               (select concat_ws(' ', p.oid, p.xmin, t.oid) from pg_publication p
                  left join pg_publication_rel t on t.prpubid = p.oid and t.prrelid = c.oid
                 where p.pubname = $4),
               (select string_agg(i.indkey::text, ',' order by i.indexrelid) from pg_index i
                 where i.indrelid = c.oid and i.indisvalid and (i.indisprimary or i.indisreplident)),
               (select string_agg(format('%s %s %s %s %s', a.attnum, a.attname, a.atttypid, a.atttypmod, a.atthasmissing), ','
                                  order by a.attnum)
                  from pg_attribute a
                 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                   and (a.attname = any($3::text[]) or a.atthasmissing))) as line
        from (select named.oid union select relid from pg_partition_tree(named.oid)) tree(oid)
        join pg_class c on c.oid = tree.oid) r
   group by named.table, named.oid`

/** The layout of each of the source's tables that there is, by its name. */
export async function readLayouts(client: Client, source: Source): Promise<ReadonlyMap<string, TableLayout>> {
  const tables = tablesOf(source)
  const columns = [
    ...new Set(tables.flatMap((table) => [...neededColumns(source, table), ...projectedColumns(source, table)])),
  ]
  const { rows } = await client.query<{ table: string; oid: string; layout: string }>(LAYOUTS, [
    tables,
    tables.map(quoteTable),
    columns,
    source.publication,
  ])
  return new Map(rows.map(({ table, oid, layout }) => [table, { oid: Number(oid), layout }]))
}
