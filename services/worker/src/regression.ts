import { offsetOf, type Sight, type View } from '@tidemark/guard'
import { covers, type Version } from '@tidemark/protocol'

/** What this worker has just had applied. */
export interface Applied {
  readonly next: bigint
  readonly key: string
  readonly version: Version
}

/**
 * What has gone back in a Redis that has not: null, or a sentence for the operator. It must never say anything.
 *
 * Right after an event was applied its cell and view are looked at in one command. As long as the view still stands
 * at the very offset that this worker left it at, nothing but fills and an operator's repairs can have come between, so
 * a live value that does not cover the event breaks I2. And as long as every batch since the last look was applied
 * without a gap or a seek, Redis is the same one as then, so a view that claims less than then breaks I6. A Redis that
 * was restored, flushed or written by another worker shows another offset, or has answered with a seek in between: it
 * may go back.
 *
 * @param before the view at the last look, null when the chain since then is broken
 */
export function regression(before: View | null, { view, cell }: Sight, applied: Applied): string | null {
  if (view === null || view.gap !== undefined || offsetOf(view) !== applied.next) return null
  if (cell?.state === 'live' && !covers(cell.label.low, applied.version)) {
    return 'a live value does not cover an invalidation that was applied'
  }
  if (before === null) return null
  for (const field of ['epoch', 'watermark', 'newest', 'horizon', 'beat'] as const) {
    if (view[field] < before[field]) return `the view's ${field} went back`
  }
  for (const [keyspace, floor] of Object.entries(before.floors)) {
    if ((view.floors[keyspace] ?? '') < floor) return 'a floor went back'
  }
  return null
}
