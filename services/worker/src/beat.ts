import type { View } from '@tidemark/guard'

/** What is known, now, of the beats of one partition that this worker holds. */
export interface PartitionBeat {
  readonly partition: number
  /** Since a beat of it was applied here, or since it was assigned; by the local monotonic clock. */
  readonly silentMs: number
  /**
   * Since the time that the newest beat in its view speaks of: what readers see. The clock of the primary is compared
   * with this machine's, so it is off by their skew. Undefined when no view or no beat is known.
   */
  readonly viewAgeMs: number | undefined
  /** Nothing in it is fresh until the next beat. */
  readonly inGap: boolean
}

interface Heard {
  heardMs: number
  beatMs: number | undefined
  inGap: boolean
}

/** The clocks of this machine: the monotonic one measures silence, the other one is compared with the primary's. */
export interface Clocks {
  readonly monotonicMs: () => number
  readonly wallMs: () => number
}

const THIS_MACHINE: Clocks = { monotonicMs: () => performance.now(), wallMs: Date.now }

/**
 * When each assigned partition last had a beat applied, and how old that beat was. An idle source beats too, so silence
 * means that the publisher, Kafka or this worker has stopped, never that nothing happens. What was known stays known
 * while Kafka or Redis is away: nobody else tells.
 */
export class Beats {
  readonly #heard = new Map<number, Heard>()
  readonly #clocks: Clocks

  constructor(clocks: Clocks = THIS_MACHINE) {
    this.#clocks = clocks
  }

  /** From now on these are ours. One that was ours keeps its age; a new one is given time from now on. */
  assign(partitions: readonly number[]): void {
    for (const partition of this.#heard.keys()) if (!partitions.includes(partition)) this.#heard.delete(partition)
    const heardMs = this.#clocks.monotonicMs()
    for (const partition of partitions) {
      if (!this.#heard.has(partition)) this.#heard.set(partition, { heardMs, beatMs: undefined, inGap: false })
    }
  }

  /** What Redis was seen to hold: it may have gone back. No sign of life. */
  stands(partition: number, view: View | null): void {
    const heard = this.#heard.get(partition)
    if (heard === undefined) return
    heard.beatMs = view !== null && view.beat > 0 ? view.beat : undefined
    heard.inGap = view?.gap !== undefined
  }

  /** A watermark record of that partition was applied: every commit visible before that time is covered by it. */
  applied(partition: number, beatMs: number): void {
    const heard = this.#heard.get(partition)
    if (heard === undefined) return
    heard.heardMs = this.#clocks.monotonicMs()
    heard.beatMs = Math.max(heard.beatMs ?? 0, beatMs)
    heard.inGap = false
  }

  /** Of each partition that is ours, in ascending order. */
  now(): PartitionBeat[] {
    const [monotonicMs, wallMs] = [this.#clocks.monotonicMs(), this.#clocks.wallMs()]
    const beats = Array.from(this.#heard, ([partition, { heardMs, beatMs, inGap }]) => ({
      partition,
      silentMs: monotonicMs - heardMs,
      viewAgeMs: beatMs === undefined ? undefined : Math.max(0, wallMs - beatMs),
      inGap,
    }))
    return beats.sort((a, b) => a.partition - b.partition)
  }
}
