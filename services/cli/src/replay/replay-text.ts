import type { Outcome } from '@tidemark/guard'
import type { Replayed } from './partition-replay.ts'
import type { ReplayRange } from './replay-plan.ts'
import type { ReplayFigures } from './replay-tally.ts'

/** What was done of one range. */
export interface RangeReport {
  readonly range: ReplayRange
  /** Undefined of a range that the replay did not come to. */
  readonly replayed: Replayed | undefined
}

export function planText(region: string, ranges: readonly ReplayRange[]): string {
  const lines = ranges.map(
    ({ partition, from, to }) => `partition ${partition}: ${to - from} records, ${from} to ${to}`,
  )
  const records = ranges.reduce((sum, { from, to }) => sum + (to - from), 0n)
  return [...lines, ...ranges.flatMap((range) => cutText(range) ?? []), `${region}: ${records} records to replay`].join(
    '\n',
  )
}

export function reportText(region: string, reports: readonly RangeReport[], figures: ReplayFigures): string {
  const { records, seconds, recordsPerSecond, events, floors, unreadable } = figures
  const outcomes = WORDS.flatMap(([outcome, word]) => {
    const count = figures.outcomes[outcome]
    return count === undefined ? [] : [`${count} ${word}`]
  })
  return [
    ...reports.flatMap(troubles),
    ...(unreadable > 0 ? [`${unreadable} record(s) cannot be read: find what else writes to the topic`] : []),
    `${region}: ${records} records in ${seconds} s, ${recordsPerSecond} a second`,
    `events: ${events}${outcomes.length > 0 ? `, of which ${outcomes.join(', ')}` : ''}`,
    `floors: ${floors}`,
  ].join('\n')
}

const WORDS: readonly (readonly [Outcome, string])[] = [
  ['removed', 'removed a value'],
  ['retained', 'left one as stale'],
  ['updated', 'updated one'],
  ['kept', 'found one that covers them'],
  ['absent', 'found none'],
  ['old-epoch', 'refused: of an abandoned epoch'],
]

/** What is not as it was asked for, a line each. */
export function troubles({ range, replayed }: RangeReport): string[] {
  const { partition, from, to } = range
  if (replayed === undefined) return from < to ? [`partition ${partition}: not begun`] : []
  const at = replayed.overtakenAt
  const cut = cutText(at === undefined ? range : { partition, from: at, isCut: true })
  return [...(cut === undefined ? [] : [cut]), ...endingText(partition, to, replayed)]
}

function cutText({ partition, from, isCut }: Pick<ReplayRange, 'partition' | 'from' | 'isCut'>): string | undefined {
  if (!isCut) return undefined
  return (
    `partition ${partition}: retention has removed what comes before offset ${from}. From there on it can be replayed; ` +
    'only a floor covers the rest: tidemark purge --keyspace NAME'
  )
}

function endingText(partition: number, to: bigint, { ending, next }: Replayed): string[] {
  switch (ending) {
    case 'done':
      return []
    case 'interrupted':
      return [`partition ${partition}: ended at offset ${next} of ${to}, as was asked`]
    case 'view-missing':
      return [
        `partition ${partition}: Redis has lost the view at offset ${next}: a worker declares a gap, which covers it`,
      ]
    case 'epoch-unannounced':
      return [
        `partition ${partition}: this region has not adopted the epoch of what stands at offset ${next} and after it`,
      ]
    case 'ended-early':
      return [`partition ${partition}: Kafka has nothing at offset ${next}, before ${to}`]
  }
}
