import type { Demand } from '@tidemark/guard'
import { epochOf, join, lsnOf, MAX_LSN, ORIGIN, type Position, position } from '@tidemark/protocol'
import { type Connection, type ConnectionPool, withConnection } from './database.ts'
import type { NewestEpoch } from './epoch-history.ts'
import { type Standing, type StandingRow, standingOf } from './standing.ts'
import type { TokenContent } from './token.ts'

const UNKNOWN_SYSTEM = '0'

/** What a session asks of the Tidemark that opened it. */
export interface SessionHost {
  readonly primary: ConnectionPool
  readonly standingStatement: string
  /** The newest epoch that is known, and its system identifier; null when the publisher has recorded none. */
  newestEpoch(atLeast: number): Promise<NewestEpoch | null>
  signToken(content: TokenContent): string
}

/**
 * What one user wrote and saw, so that no later read is older (read-your-writes, monotonic reads). Both positions
 * only rise. Hand `token()` to the client, or along with a message, and open the next session with it.
 */
export class Session {
  readonly #host: SessionHost
  #own: Position
  #seen: Position
  #systemIdentifier: string

  constructor(host: SessionHost, content: TokenContent | null) {
    this.#host = host
    this.#own = content?.own ?? ORIGIN
    this.#seen = content?.seen ?? ORIGIN
    this.#systemIdentifier = content?.systemIdentifier ?? UNKNOWN_SYSTEM
  }

  /** What a read must not be behind; null when nothing is asked. */
  async demand(): Promise<Demand | null> {
    if (this.#own === ORIGIN && this.#seen === ORIGIN) return null
    const newest = await this.#host.newestEpoch(Math.max(epochOf(this.#own), epochOf(this.#seen)))
    if (newest) this.#adopt(newest.systemIdentifier)
    return { own: this.#own, seen: this.#seen }
  }

  /** Notes that the session was handed a value that may be as new as `position`. */
  saw(position: Position, systemIdentifier: string | null): void {
    if (systemIdentifier !== null) this.#adopt(systemIdentifier)
    this.#seen = join(this.#seen, position)
  }

  /**
   * Runs `write` in a transaction on the primary and moves the session past its commit. Rolls back and rethrows when
   * `write` throws. When the connection breaks at COMMIT the write may have happened: then, too, the session moves.
   */
  async write<T>(write: (db: Connection) => Promise<T>): Promise<T> {
    return await withConnection(this.#host.primary, async (db) => {
      await db.query('begin')
      const result = await write(db)
      try {
        await db.query('commit')
      } catch (error) {
        this.#moveBeyondKnowing()
        throw error
      }
      await this.#movePast(db)
      return result
    })
  }

  /** The session as an opaque signed string. Throws TOKEN_INVALID when no key was configured. */
  token(): string {
    return this.#host.signToken({ systemIdentifier: this.#systemIdentifier, own: this.#own, seen: this.#seen })
  }

  /** `own` is read after COMMIT returned, on the same server: an over-estimate is safe (protocol 6.5). */
  async #movePast(db: Connection): Promise<void> {
    let standing: Standing | null = null
    try {
      const row = (await db.query<StandingRow>(this.#host.standingStatement)).rows[0]
      standing = row ? standingOf(row) : null
    } catch {
      // The write is committed; failing here would say that it is not. Only the primary can satisfy this session now.
    }
    if (standing?.role !== 'primary') {
      this.#moveBeyondKnowing()
      return
    }
    this.#adopt(standing.systemIdentifier)
    // A server that was promoted and not yet announced writes what only the next epoch will cover (protocol 6.6).
    const epoch = standing.announced ? standing.epoch : standing.epoch + 1
    this.#own = join(this.#own, position(epoch, lsnOf(standing.position)))
  }

  #moveBeyondKnowing(): void {
    this.#own = position(Math.max(1, epochOf(this.#own)), MAX_LSN)
  }

  /** Positions of another system say nothing about this one (protocol 6.5). */
  #adopt(systemIdentifier: string): void {
    if (this.#systemIdentifier !== UNKNOWN_SYSTEM && this.#systemIdentifier !== systemIdentifier) {
      this.#own = ORIGIN
      this.#seen = ORIGIN
    }
    this.#systemIdentifier = systemIdentifier
  }
}
