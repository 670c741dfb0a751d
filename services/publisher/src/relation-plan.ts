import type { Keyspace, Source } from '@tidemark/protocol'
import type { Relation, RelationColumn } from './pgoutput.ts'

/** What a change of one relation means: which keyspaces it touches, and where their keys' values are in a row. */
export interface RelationPlan {
  readonly oid: number
  /** schema.table, as the source names it. */
  readonly table: string
  readonly keyspaces: readonly KeyspacePlan[]
  /** Equal for two Relation messages iff keys are made from them in the same way. */
  readonly shape: string
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
  return { keyspace, columnOf: lacking.length === 0 ? columnOf : undefined, lacking }
}

/** Columns may move about (a dropped column shifts the others); a template column's name or type may not. */
function shapeOf(relation: Relation, table: string, keyspaces: readonly KeyspacePlan[]): string {
  const used = new Set(keyspaces.flatMap((k) => Object.values(k.keyspace.tables[table]!)))
  const columns = relation.columns.filter((c) => used.has(c.name)).map(describe)
  return columns.sort().join(' ')
}

function describe(column: RelationColumn): string {
  return `${column.name}/${column.typeOid}/${column.typeModifier}/${column.identity ? 'identity' : ''}`
}
