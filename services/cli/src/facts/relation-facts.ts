import { tablesOf } from '@tidemark/postgres'
import type { Source } from '@tidemark/protocol'
import type { Client } from 'pg'

/** What the catalog says of a table that the source names. */
export interface RelationFacts {
  readonly table: string
  /** r, p, v, m, f as in pg_class; undefined when there is none. */
  readonly kind: string | undefined
  /** p, u, t as in pg_class. */
  readonly persistence: string | undefined
  /** Its partitions at every level that hold rows. */
  readonly leaves: readonly { readonly name: string; readonly kind: string; readonly persistence: string }[]
  /** Tables that inherit from it without being partitions. */
  readonly heirs: readonly string[]
}

export async function readRelations(client: Client, source: Source): Promise<RelationFacts[]> {
  const tables = tablesOf(source)
  const { rows } = await client.query<Omit<RelationFacts, 'table'>>(
    `select c.relkind as kind, c.relpersistence as persistence,
            coalesce((select json_agg(json_build_object('name', l.oid::regclass::text, 'kind', l.relkind, 'persistence', l.relpersistence))
                        from pg_partition_tree(c.oid) p join pg_class l on l.oid = p.relid
                       where c.relkind = 'p' and p.isleaf), '[]') as leaves,
            array(select i.inhrelid::regclass::text from pg_inherits i join pg_class h on h.oid = i.inhrelid
                   where i.inhparent = c.oid and not h.relispartition) as heirs
       from unnest($1::text[], $2::text[]) with ordinality as t(schema, name, at)
       left join pg_namespace n on n.nspname = t.schema
       left join pg_class c on c.relnamespace = n.oid and c.relname = t.name
      order by t.at`,
    [tables.map((t) => namesOf(t).schema), tables.map((t) => namesOf(t).name)],
  )
  return rows.map((row, at) => ({
    ...row,
    kind: row.kind ?? undefined,
    persistence: row.persistence ?? undefined,
    table: tables[at]!,
  }))
}

/** The schema is what comes before the first dot. */
function namesOf(table: string): { readonly schema: string; readonly name: string } {
  const dot = table.indexOf('.')
  return { schema: table.slice(0, dot), name: table.slice(dot + 1) }
}
