/** What Kafka still has of a partition. */
export interface LogRange {
  /** The first offset that is still there. */
  readonly low: bigint
  /** The end: the offset of the next record to be written. */
  readonly high: bigint
}

/** Where a partition goes on: at the offset that Redis stores, or after a gap that must be declared first. */
export type Resumption =
  | { readonly kind: 'continue'; readonly at: bigint }
  | { readonly kind: 'gap'; readonly cause: 'view-missing' | 'offset-gone'; readonly why: string }

/**
 * Compares what Redis has applied with what Kafka still has. Kafka itself would say nothing: a consumer that asks for
 * an offset which is gone is sent to the earliest or latest one without a word.
 *
 * @param stored null when there is no view
 */
export function resumption(stored: bigint | null, range: LogRange): Resumption {
  if (stored === null) return { kind: 'gap', cause: 'view-missing', why: 'Redis holds no view of the partition' }
  if (stored < range.low) {
    const why = `retention has removed offsets ${stored} to ${range.low - 1n} before they were applied`
    return { kind: 'gap', cause: 'offset-gone', why }
  }
  if (stored > range.high) {
    const why = `Kafka ends at ${range.high}, before the stored offset ${stored}: it has lost acknowledged records`
    return { kind: 'gap', cause: 'offset-gone', why }
  }
  return { kind: 'continue', at: stored }
}
