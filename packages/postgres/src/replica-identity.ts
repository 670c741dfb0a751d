import { type Source, TidemarkError } from '@tidemark/protocol'
import type { Client } from 'pg'
import { quoteTable } from './identifier.ts'
import { neededColumns, tablesOf } from './publication.ts'
import { readLayouts, type TableLayout } from './table-layout.ts'

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

/**
 * Checks that every change of every table can be keyed: the tables and columns exist, and the replica identity
 * carries each column that a template needs. Throws TABLE_MISMATCH or REPLICA_IDENTITY_INSUFFICIENT with all
 * mistakes and what mends them.
 *
 * @returns a description of how keys are made and of what is in the tables, which changes with either
 */
export async function checkTables(client: Client, source: Source): Promise<string> {
  const facts: TableFacts[] = []
  const missing: string[] = []
  for (const table of tablesOf(source)) {
    const { rows } = await client.query<Omit<TableFacts, 'table'>>(FACTS, [quoteTable(table)])
    if (rows.length === 0)
      missing.push(`there is no table ${table} (a view, or an unlogged table, has no changes to follow)`)
    facts.push(...rows.map((row) => ({ ...row, columns: row.columns ?? [], table })))
  }
  const wrong = missing.concat(missingColumns(source, facts))
  const weak = weakIdentities(source, facts)
  if (wrong.length > 0) throw new TidemarkError('TABLE_MISMATCH', list([...wrong, ...weak]))
  if (weak.length > 0) throw new TidemarkError('REPLICA_IDENTITY_INSUFFICIENT', list(weak))
  return describeKeys(source, facts, await readLayouts(client, source))
}

function list(mistakes: readonly string[]): string {
  return `${mistakes.length} mistake(s):\n  ${mistakes.join('\n  ')}`
}

function missingColumns(source: Source, facts: readonly TableFacts[]): string[] {
  return facts.flatMap(({ table, relation, columns }) =>
    neededColumns(source, table)
      .filter((needed) => !columns.some((c) => c.name === needed))
      .map(
        (needed) =>
          `table ${relation} has no column ${needed} that is replicated; it has ${columns.map((c) => c.name).join(', ')}`,
      ),
  )
}

function weakIdentities(source: Source, facts: readonly TableFacts[]): string[] {
  return facts.flatMap(({ table, relation, identity, columns }) => {
    const lacking = neededColumns(source, table).filter((n) => columns.some((c) => c.name === n && !c.identity))
    if (lacking.length === 0 && identity !== 'nothing') return []
    const lacks = lacking.length > 0 ? `does not carry ${lacking.join(', ')}` : 'forbids UPDATE and DELETE'
    return [`replica identity ${identity} of ${relation} ${lacks}. Run: ALTER TABLE ${relation} REPLICA IDENTITY FULL`]
  })
}

/** Two starts with equal descriptions make equal keys from equal rows, and no row changed unseen between them. */
function describeKeys(source: Source, facts: readonly TableFacts[], layouts: ReadonlyMap<string, TableLayout>): string {
  const types = facts.flatMap(({ table, columns }) =>
    columns.filter((c) => neededColumns(source, table).includes(c.name)).map((c) => `${table}.${c.name} ${c.type}`),
  )
  const keyspaces = Object.values(source.keyspaces).map((k) => [
    k.name,
    k.key,
    Object.entries(k.tables)
      .map(([table, columns]) => [table, Object.entries(columns).sort()])
      .sort(),
  ])
  return JSON.stringify({
    topic: source.topic,
    partitions: source.partitions,
    keyspaces: keyspaces.sort(),
    types: [...new Set(types)].sort(),
    tables: Object.fromEntries([...layouts].map(([table, { layout }]) => [table, layout] as const).sort()),
  })
}

/** What a description says of the layout of each table. */
export function layoutsIn(shape: string): Readonly<Record<string, string>> {
  return (JSON.parse(shape) as { readonly tables?: Readonly<Record<string, string>> }).tables ?? {}
}

/** Whether two descriptions make equal keys from equal rows; the rows may have changed unseen between them. */
export function makesSameKeys(a: string, b: string): boolean {
  const [one, other] = [a, b].map((shape) => {
    const { tables: _, ...keys } = JSON.parse(shape) as Readonly<Record<string, unknown>>
    return JSON.stringify(keys)
  })
  return one === other
}
