/** Partitions that have had no beat for too long. */
export interface Stall {
  readonly partitions: readonly number[]
  /** Time since the last beat of the one that is worst off. */
  readonly ageMs: number
}

/**
 * The partitions whose last beat is older than `stallMs`; null when there is none. An idle source beats too, so
 * silence means that the publisher, Kafka or this worker has stopped, never that nothing happens.
 *
 * @param beats partition → when its last beat was applied, by the local monotonic clock
 */
export function stalled(beats: ReadonlyMap<number, number>, nowMs: number, stallMs: number): Stall | null {
  const silent = [...beats].filter(([, at]) => nowMs - at > stallMs)
  if (silent.length === 0) return null
  const partitions = silent.map(([partition]) => partition).sort((a, b) => a - b)
  return { partitions, ageMs: nowMs - Math.min(...silent.map(([, at]) => at)) }
}

/** When each assigned partition last had a beat applied, by the local monotonic clock: no two machines are compared. */
export class Beats {
  readonly #at = new Map<number, number>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs
  }

  /** From now on these are ours. One that was ours keeps its age; a new one is given time from now on. */
  assign(partitions: readonly number[]): void {
    for (const partition of this.#at.keys()) if (!partitions.includes(partition)) this.#at.delete(partition)
    for (const partition of partitions) if (!this.#at.has(partition)) this.#at.set(partition, this.#nowMs())
  }

  /** A watermark record of that partition was applied. */
  applied(partition: number): void {
    if (this.#at.has(partition)) this.#at.set(partition, this.#nowMs())
  }

  stalled(stallMs: number): Stall | null {
    return stalled(this.#at, this.#nowMs(), stallMs)
  }

  /** Of the partition that is worst off; undefined when none is ours. */
  get worstAgeMs(): number | undefined {
    return stalled(this.#at, this.#nowMs(), Number.NEGATIVE_INFINITY)?.ageMs
  }
}
