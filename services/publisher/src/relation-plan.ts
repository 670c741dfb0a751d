import type { Keyspace, Source } from '@tidemark/protocol'
import type { Relation, RelationColumn } from './pgoutput.ts'

/** What a change of one relation means: which keyspaces it touches, and where their keys' values are in a row. */
export interface RelationPlan {
  readonly oid: number
  /** schema.table, as the source names it. */
  readonly table: string
  readonly keyspaces: readonly KeyspacePlan[]
  /** Equal for two Relation messages iff keys and projections are made from them in the same way. */
  readonly shape: string
}

/** Where a projection finds a column. */
export interface ProjectedColumn {
  /** Its index in a row. */
  readonly index: number
  /** Whether an old image holds its value: one that holds the key alone shows a null in its place. */
  readonly inOldImage: boolean
}

export interface KeyspacePlan {
  readonly keyspace: Keyspace
  /**
   * param → index of its column in a row; undefined when the relation cannot key every change: a column is gone or
   * was renamed, or the replica identity no longer carries it. Every change is then a floor, never a silence.
   */
  readonly columnOf: ReadonlyMap<string, number> | undefined
  /** The columns that a key would need and that are not there, or not in the replica identity. */
  readonly lacking: readonly string[]
  /** The projection's columns, by name; undefined without a projection, and when one of them is not in the stream. */
  readonly projected: ReadonlyMap<string, ProjectedColumn> | undefined
  /** The columns that the projection would need and that are not there: every change then invalidates. */
  readonly unprojected: readonly string[]
}

/**
 * Plans a relation; without keyspaces when the source does not name its table.
 *
 * @param table another name than its own, for a relation that stands in for that table
 */
export function planRelation(
  relation: Relation,
  source: Source,
  table = `${relation.schema}.${relation.table}`,
): RelationPlan {
  const keyspaces = Object.values(source.keyspaces).flatMap((keyspace) => {
    const columns = keyspace.tables[table]
    return columns ? [planKeyspace(keyspace, columns, relation)] : []
  })
  return { oid: relation.oid, table, keyspaces, shape: shapeOf(relation, table, keyspaces) }
}

function planKeyspace(keyspace: Keyspace, columns: Readonly<Record<string, string>>, relation: Relation): KeyspacePlan {
  const columnOf = new Map<string, number>()
  const lacking: string[] = []
  for (const [param, name] of Object.entries(columns)) {
    const index = relation.columns.findIndex((c) => c.name === name && c.identity)
    if (index < 0) lacking.push(name)
    else columnOf.set(param, index)
  }
  return {
    keyspace,
    columnOf: lacking.length === 0 ? columnOf : undefined,
    lacking,
    ...planProjection(keyspace, relation),
  }
}

function planProjection(
  { projection = {} }: Keyspace,
  { columns }: Relation,
): Pick<KeyspacePlan, 'projected' | 'unprojected'> {
  const names = [...new Set(Object.values(projection).map(({ column }) => column))]
  const indexOf = (name: string) => columns.findIndex((c) => c.name === name)
  const unprojected = names.filter((name) => indexOf(name) < 0)
  if (names.length === 0 || unprojected.length > 0) return { projected: undefined, unprojected }
  const placed = names.map((name) => {
    const index = indexOf(name)
    return [name, { index, inOldImage: columns[index]!.identity }] as const
  })
  return { projected: new Map(placed), unprojected }
}

/**
 * Columns may move about (a dropped column shifts the others); the name or type of one that a key or a projection is made
 * of may not: the text of a value would be another, and with it the key, or what was loaded would not be what is projected.
 */
function shapeOf(relation: Relation, table: string, keyspaces: readonly KeyspacePlan[]): string {
  const ofKeys = new Set(keyspaces.flatMap((k) => Object.values(k.keyspace.tables[table]!)))
  const shown = new Set(keyspaces.flatMap((k) => [...(k.projected?.keys() ?? [])]))
  const columns = relation.columns.flatMap((c) => [
    ...(ofKeys.has(c.name) ? [`${typed(c)}/${c.identity ? 'identity' : ''}`] : []),
    ...(shown.has(c.name) ? [typed(c)] : []),
  ])
  return columns.sort().join(' ')
}

function typed({ name, typeOid, typeModifier }: RelationColumn): string {
  return `${name}/${typeOid}/${typeModifier}`
}
