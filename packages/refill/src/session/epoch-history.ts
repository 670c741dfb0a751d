import { inTime } from '../deadline.ts'
import type { ConnectionPool } from '../sources/database.ts'
import { withConnection } from '../sources/database.ts'
import { type StandingRow, standingOf } from '../sources/standing.ts'

export interface NewestEpoch {
  readonly epoch: number
  readonly systemIdentifier: string
}

const RECHECK_MS = 1_000
/** A hit needs no primary, so it does not wait for a silent one. */
const ANSWER_MS = 250

/**
 * The newest epoch that this process knows, so that a token of another system can be told from one that is ahead.
 * Asked of the primary once, and again, at most once a second, while sessions speak of a newer one.
 */
export class EpochHistory {
  readonly #primary: ConnectionPool
  readonly #statement: string
  #newest: NewestEpoch | null = null
  #askedAt = Number.NEGATIVE_INFINITY
  #asking = false

  constructor(primary: ConnectionPool, statement: string) {
    this.#primary = primary
    this.#statement = statement
  }

  /** Null while the primary has not answered: then a token binds as it is. */
  async newest(atLeast: number): Promise<NewestEpoch | null> {
    const known = this.#newest !== null && this.#newest.epoch >= atLeast
    if (known || this.#asking || performance.now() - this.#askedAt < RECHECK_MS) return this.#newest
    this.#askedAt = performance.now()
    try {
      await inTime(this.#ask(), ANSWER_MS, 'the primary')
    } catch {
      // A primary that is away costs the token nothing: not knowing only makes it stricter.
    }
    return this.#newest
  }

  /** One question at a time, or a primary that is silent for long would have a queue of them. */
  async #ask(): Promise<void> {
    this.#asking = true
    try {
      const { rows } = await withConnection(this.#primary, (db) => db.query<StandingRow>(this.#statement))
      const standing = rows[0] ? standingOf(rows[0]) : null
      if (standing && standing.epoch > (this.#newest?.epoch ?? 0)) this.#newest = standing
    } finally {
      this.#asking = false
    }
  }
}
