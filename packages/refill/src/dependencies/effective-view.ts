import { floorOf, type RequireResult, type View } from '@tidemark/guard'
import { after, maxPosition, ORIGIN, type Position } from '@tidemark/protocol'

/**
 * The view by which a value of several keys is judged: its own key's, and of each partition that it depends on, what a
 * label must begin at there. It claims no more than all of them do, so that nothing else needs to know of dependencies:
 * what lacks an invalidation of one lies below the floor, and watermark and beat are those of the slowest.
 *
 * @param answers of `require`, in the order of asking or any other; null where Redis did not answer
 */
export function effectiveView(
  view: View | null,
  answers: readonly (RequireResult | null)[],
  keyspace: string,
): View | null {
  return answers.reduce<View | null>((narrowed, answer) => narrowed && narrow(narrowed, answer, keyspace), view)
}

function narrow(view: View, answer: RequireResult | null, keyspace: string): View | null {
  if (answer === null || answer.code === 'view-missing') return null
  if (answer.code === 'gap') return { ...view, gap: view.gap ?? 'of a dependency' }
  const other = answer.view
  return {
    ...view,
    epoch: view.epoch > other.epoch ? view.epoch : other.epoch,
    watermark: view.watermark < other.watermark ? view.watermark : other.watermark,
    beat: Math.min(view.beat, other.beat),
    floors: { ...view.floors, [keyspace]: maxPosition(floorOf(view, keyspace), ...answer.required) },
  }
}

/** What a load that begins after the answers must cover of the dependencies' past, and what it does on the primary. */
export function boundsOf(answers: readonly (RequireResult | null)[]): { required: Position; granted: Position } {
  const known = answers.flatMap((answer) => (answer?.code === 'required' ? [answer] : []))
  const required = maxPosition(ORIGIN, ...known.flatMap((answer) => answer.required))
  // As a lease would grant it (protocol 6.2): what a view has been told of was visible before (I5).
  const shown = known.flatMap(({ view }) => [view.watermark, after(view.newest)])
  return { required, granted: maxPosition(required, ...shown) }
}
