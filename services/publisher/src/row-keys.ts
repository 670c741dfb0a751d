import { type Keyspace, renderKey } from '@tidemark/protocol'
import type { FloorCause } from '@tidemark/telemetry'
import { type Row, type RowChange, UNCHANGED } from './pgoutput.ts'
import type { KeyspacePlan, RelationPlan } from './relation-plan.ts'

/** Where the keys of a change go. */
export interface KeySink {
  addKey(keyspace: Keyspace, key: string): void
  /** The change touches the keyspace in a way that no key expresses. */
  addFloor(keyspace: Keyspace, cause: FloorCause): void
  /** Whether the keyspace is stale as a whole already: its keys need not be made. */
  isFloor(keyspace: Keyspace): boolean
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
    if (change.kind !== 'insert' && change.old) addKeyOf(keyspacePlan, change.old, undefined, sink)
    if (change.kind !== 'delete') addKeyOf(keyspacePlan, change.next, oldImage(change), sink)
  }
}

function oldImage(change: RowChange): Row | undefined {
  return change.kind === 'update' ? change.old : undefined
}

/** @param fallback the image that holds the value of a TOASTed column that `row` only marks as unchanged */
function addKeyOf(plan: KeyspacePlan, row: Row, fallback: Row | undefined, sink: KeySink): void {
  const { keyspace, columnOf } = plan
  if (!columnOf) {
    sink.addFloor(keyspace, 'shape')
    return
  }
  let readable = true
  const key = renderKey(keyspace.template, (param) => {
    const column = columnOf.get(param) ?? -1
    const value = valueIn(row, column) ?? (fallback && valueIn(fallback, column))
    if (value === undefined) readable = false
    return value?.text ?? null
  })
  // An unchanged TOASTed value that no image holds: the key exists, and we cannot name it.
  if (!readable) sink.addFloor(keyspace, 'unreadable')
  else if (key !== undefined) sink.addKey(keyspace, key)
}

/** The value, boxed since null is one; undefined when the image does not hold it. */
function valueIn(row: Row, column: number): { readonly text: string | null } | undefined {
  const text = row.text(column)
  return text === UNCHANGED || text === undefined ? undefined : { text }
}
