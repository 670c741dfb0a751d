import { floorOf, type View } from '@tidemark/guard'
import { after, maxPosition, ORIGIN, type Position } from '@tidemark/protocol'

/** As a lease would grant it (protocol 6.2): all that it covers is visible on the primary by now (I5). */
export function shownByPrimary(view: View | null, keyspace: string): Position | null {
  if (view === null || view.gap !== undefined) return null
  return maxPosition(floorOf(view, keyspace), maxPosition(view.watermark, after(view.newest)))
}

/** Of several partitions: what one load shows, it shows of all. */
export function mostShown(views: readonly (View | null)[], keyspace: string): Position | null {
  const shown = views.flatMap((view) => shownByPrimary(view, keyspace) ?? [])
  return shown.length === 0 ? null : maxPosition(ORIGIN, ...shown)
}
