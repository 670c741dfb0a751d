import { offsetOf, type View } from '@tidemark/guard'
import type { LogEnd } from '@tidemark/kafka'
import type { Start } from './replay-terms.ts'

/** What is to be replayed of one partition. */
export interface ReplayRange {
  readonly partition: number
  readonly from: bigint
  /** What the view applies next: everything before it is a repair, everything from there on the workers' own. */
  readonly to: bigint
  /** Whether retention has removed records that were asked for, or may have. */
  readonly isCut: boolean
}

export interface PartitionFacts extends LogEnd {
  readonly view: View | null
  /** Where the replay is to begin, as it was asked for or found. */
  readonly wanted: bigint
}

/** The ranges, or why there can be none, a line each. */
export function planOf(
  facts: readonly PartitionFacts[],
  kind: Start['kind'],
): ReplayRange[] | { readonly refused: string[] } {
  const refused = facts.flatMap((partition) => refusalOf(partition, kind) ?? [])
  return refused.length > 0 ? { refused } : facts.map((partition) => rangeOf(partition, kind))
}

function refusalOf({ partition, view, wanted }: PartitionFacts, kind: Start['kind']): string | undefined {
  if (view === null) return `partition ${partition} has no view in this region: a worker must run there first`
  const next = offsetOf(view)
  if (kind !== 'offset' || wanted <= next) return undefined
  return `partition ${partition}: offset ${wanted} lies beyond ${next}, which this region applies next`
}

function rangeOf({ partition, view, wanted, low, end }: PartitionFacts, kind: Start['kind']): ReplayRange {
  const next = offsetOf(view!)
  // Beyond the end Kafka has lost records; the workers' gap covers them.
  const to = next < end ? next : end
  const from = wanted < low ? low : wanted
  // A search cannot find what is gone: that the log begins where it ends proves nothing of what was before.
  const isCut = kind === 'offset' ? wanted < low : low > 0n && wanted <= low
  return { partition, from: from < to ? from : to, to, isCut }
}
