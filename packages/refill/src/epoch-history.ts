import type { ConnectionPool } from './database.ts'
import { withConnection } from './database.ts'
import { type StandingRow, standingOf } from './standing.ts'

export interface NewestEpoch {
  readonly epoch: number
  readonly systemIdentifier: string
}

const RECHECK_MS = 1_000

/**
 * The newest epoch that this process knows, so that a token of another system can be told from one that is ahead.
 * Asked of the primary once, and again, at most once a second, while views speak of a newer one.
 */
export class EpochHistory {
  readonly #primary: ConnectionPool
  readonly #statement: string
  #newest: NewestEpoch | null = null
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(primary: ConnectionPool, statement: string) {
    this.#primary = primary
    this.#statement = statement
  }

  note(epoch: NewestEpoch): void {
    if (this.#newest === null || epoch.epoch > this.#newest.epoch) this.#newest = epoch
  }

  /** Null while the primary has not answered: then a token binds as it is. */
  async newest(atLeast: number): Promise<NewestEpoch | null> {
    const known = this.#newest !== null && this.#newest.epoch >= atLeast
    if (known || performance.now() - this.#askedAt < RECHECK_MS) return this.#newest
    this.#askedAt = performance.now()
    try {
      const row = await withConnection(
        this.#primary,
        async (db) => (await db.query<StandingRow>(this.#statement)).rows[0],
      )
      const standing = row ? standingOf(row) : null
      if (standing) this.note(standing)
    } catch {
      // A primary that is away costs the token nothing: not knowing only makes it stricter.
    }
    return this.#newest
  }
}
