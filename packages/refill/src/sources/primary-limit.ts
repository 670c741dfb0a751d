import { z } from 'zod'
import { LONGEST_TIMER_MS, whole } from '../bounds.ts'

/** How many loads a process may send to the primary. */
export interface PrimaryLimitOptions {
  /** Loads a second, in the long run. */
  readonly perSecond: number
  /** Loads that may come at once after a quiet time. */
  readonly burst: number
  /** A load whose turn would come later than this is refused. */
  readonly waitMs: number
}

export const primaryLimitSchema = z.strictObject({
  perSecond: z.number({ error: 'must be a number' }).positive('must be more than 0').default(1_000),
  burst: whole(1).default(1_000),
  waitMs: whole(0, LONGEST_TIMER_MS).default(100),
}) satisfies z.ZodType<PrimaryLimitOptions>

export const DEFAULT_PRIMARY_LIMIT: PrimaryLimitOptions = primaryLimitSchema.parse({})

/** The load was not sent to the primary, which has enough to do. */
export class PrimaryLimited extends Error {
  constructor() {
    super('the limit of loads from the primary is reached')
  }
}

/**
 * A token bucket, kept as the time of the next turn (GCRA). The libraries' buckets queue whoever finds them empty, without
 * a bound on the queue: behind replicas that lag, readers would wait for turns that come when nobody wants them any more.
 */
export class PrimaryLimit {
  readonly #options: PrimaryLimitOptions
  readonly #everyMs: number
  #nextTurn = Number.NEGATIVE_INFINITY

  constructor(options: PrimaryLimitOptions) {
    this.#options = options
    this.#everyMs = 1_000 / options.perSecond
  }

  /**
   * Takes a turn: how long to wait for it in ms, or null when that is too long and none was taken.
   *
   * @param now ms of a monotonic clock
   */
  take(now: number): number | null {
    const { burst, waitMs } = this.#options
    const turn = Math.max(this.#nextTurn, now - this.#everyMs * (burst - 1))
    const leftMs = Math.max(0, turn - now)
    if (leftMs > waitMs) return null
    this.#nextTurn = turn + this.#everyMs
    return leftMs
  }
}
