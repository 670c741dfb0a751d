import { floorOf, type Inspection, judge, requiredOf, type Verdict } from '@tidemark/guard'
import { covers, type Keyspace, type Position, type Source } from '@tidemark/protocol'
import type { FoundEvent } from './newest-event.ts'

/** What follows for a key from what one region's Redis knows of it. */
export interface Coherence {
  /** For a reader without a session, now. */
  readonly verdict: Verdict
  /** What a label must start at to be stored; null while nothing can be. */
  readonly required: Position | null
  /** I2 is broken: a live cell would be taken for fresh and lacks an event that the watermark covers. */
  readonly isStale: boolean
}

const NO_VALUE = Buffer.alloc(0)

export function coherenceOf(
  inspection: Inspection,
  keyspace: Keyspace,
  { clockSkewMs }: Pick<Source, 'clockSkewMs'>,
  newest: FoundEvent | null,
  nowMs: number,
): Coherence {
  const view = inspection.view === 'malformed' ? null : inspection.view
  const cell =
    inspection.cell === null || inspection.cell === 'malformed' ? null : { ...inspection.cell, payload: NO_VALUE }
  const terms = { keyspace: keyspace.name, contract: keyspace.contract, clockSkewMs, demand: null }
  return {
    verdict: judge(view, cell, terms, nowMs),
    required: view?.gap === undefined ? requiredOf(inspection, keyspace.name) : null,
    isStale: newest !== null && lacks(inspection, keyspace.name, newest),
  }
}

function lacks({ view, cell }: Inspection, keyspace: string, { version }: FoundEvent): boolean {
  if (view === null || view === 'malformed' || view.gap !== undefined) return false
  if (cell === null || cell === 'malformed' || cell.state !== 'live') return false
  // Below the floor it is served to nobody; events that a gap has missed are covered so.
  if (cell.label.low < floorOf(view, keyspace)) return false
  return covers(view.watermark, version) && !covers(cell.label.low, version)
}
