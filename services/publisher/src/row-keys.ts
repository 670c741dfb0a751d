import { type Keyspace, projectRow, renderKey } from '@tidemark/protocol'
import type { FloorCause } from '@tidemark/telemetry'
import { type Row, type RowChange, UNCHANGED } from './pgoutput.ts'
import type { KeyspacePlan, RelationPlan } from './relation-plan.ts'

/** Where the keys of a change go. */
export interface KeySink {
  /** @param projection what the key's value is after this change, if it is known; the last change of a key decides */
  addKey(keyspace: Keyspace, key: string, projection: Buffer | undefined): void
  /** The change touches the keyspace in a way that no key expresses. */
  addFloor(keyspace: Keyspace, cause: FloorCause): void
  /** Whether the keyspace is stale as a whole already: its keys need not be made. */
  isFloor(keyspace: Keyspace): boolean
  /** Whether projections are still taken: otherwise they need not be made. */
  readonly takesProjections: boolean
}

/**
 * Gives the keys of a row change to `sink`: those of the old image and those of the new one, since a change of a
 * template's column takes the row away from one key and gives it to another.
 *
 * An update without an old image left the replica identity as it was, and with it every template column (a plan
 * with columns outside the identity has no `columnOf`): its old keys are its new ones.
 */
export function keysOfChange(plan: RelationPlan, change: RowChange, sink: KeySink): void {
  for (const keyspacePlan of plan.keyspaces) {
    if (sink.isFloor(keyspacePlan.keyspace)) continue
    if (change.kind !== 'insert' && change.old) addOldKey(keyspacePlan, change.old, sink)
    if (change.kind !== 'delete') addNewKey(keyspacePlan, change.next, oldImage(change), sink)
  }
}

function oldImage(change: RowChange): Row | undefined {
  return change.kind === 'update' ? change.old : undefined
}

/** The row was deleted, or has left the key, or is about to be given to it anew: so far there is no value. */
function addOldKey(plan: KeyspacePlan, row: Row, sink: KeySink): void {
  const key = keyIn(plan, row, undefined, sink)
  if (key !== undefined) sink.addKey(plan.keyspace, key, undefined)
}

function addNewKey(plan: KeyspacePlan, row: Row, old: Row | undefined, sink: KeySink): void {
  const key = keyIn(plan, row, old, sink)
  if (key === undefined) return
  sink.addKey(plan.keyspace, key, sink.takesProjections ? projectionOf(plan, row, old) : undefined)
}

/**
 * The key of a row's image, if it has one; a floor if it has one that cannot be named.
 *
 * @param fallback the image that holds the value of a TOASTed column that `row` only marks as unchanged
 */
function keyIn(plan: KeyspacePlan, row: Row, fallback: Row | undefined, sink: KeySink): string | undefined {
  const { keyspace, columnOf } = plan
  if (!columnOf) {
    sink.addFloor(keyspace, 'shape')
    return undefined
  }
  let readable = true
  const key = renderKey(keyspace.template, (param) => {
    const column = columnOf.get(param) ?? -1
    const value = valueIn(row, column) ?? (fallback && valueIn(fallback, column))
    if (value === undefined) readable = false
    return value?.text ?? null
  })
  if (readable) return key
  // An unchanged TOASTed value that no image holds: the key exists, and we cannot name it.
  sink.addFloor(keyspace, 'unreadable')
  return undefined
}

/** Undefined also when a TOASTed value is in no image: the change then invalidates. */
function projectionOf({ keyspace, projected }: KeyspacePlan, row: Row, old: Row | undefined): Buffer | undefined {
  if (!projected || !keyspace.projection) return undefined
  return projectRow(keyspace.projection, (name) => {
    const { index, inOldImage } = projected.get(name)!
    const value = valueIn(row, index) ?? (inOldImage && old ? valueIn(old, index) : undefined)
    return value?.text
  })
}

/** The value, boxed since null is one; undefined when the image does not hold it. */
function valueIn(row: Row, column: number): { readonly text: string | null } | undefined {
  const text = row.text(column)
  return text === UNCHANGED || text === undefined ? undefined : { text }
}
