import type { Demand } from '@tidemark/guard'
import { epochOf, join, MAX_LSN, ORIGIN, type Position, position } from '@tidemark/protocol'
import { type Connection, type ConnectionPool, withConnection } from '../sources/database.ts'
import { forSession, type Standing, type StandingRow, standingOf } from '../sources/standing.ts'
import type { NewestEpoch } from './epoch-history.ts'
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
    const newest = await this.#host.newestEpoch(this.#epoch)
    if (newest) this.#adopt(newest.systemIdentifier, newest.epoch)
    return this.#own === ORIGIN && this.#seen === ORIGIN ? null : { own: this.#own, seen: this.#seen }
  }

  /** Notes that the session was handed a value that may be as new as `position`. */
  saw(position: Position, systemIdentifier: string | null): void {
    if (systemIdentifier !== null && !this.#adopt(systemIdentifier, epochOf(position))) return
    this.#seen = join(this.#seen, position)
  }

  /**
   * Runs `write` in a transaction on the primary and moves the session past its commit. Rolls back and rethrows when
   * `write` throws; throws when it swallowed the failure of a statement, for then COMMIT rolls back. When the connection
   * breaks at COMMIT the write may have happened: that is thrown, and the session moves all the same.
   */
  async write<T>(write: (db: Connection) => Promise<T>): Promise<T> {
    return await withConnection(this.#host.primary, async (db) => {
      await db.query('begin')
      const result = await write(db)
      await this.#commit(db)
      await this.#movePast(db)
      return result
    })
  }

  /** The session as an opaque signed string. Throws TOKEN_INVALID when no key was configured. */
  token(): string {
    return this.#host.signToken({ systemIdentifier: this.#systemIdentifier, own: this.#own, seen: this.#seen })
  }

  async #commit(db: Connection): Promise<void> {
    let ended: { readonly command?: unknown }
    try {
      ended = (await db.query('commit')) as object
    } catch (error) {
      if (!wasRefused(error)) this.#moveBeyondKnowing()
      throw error
    }
    // Postgres answers COMMIT in a failed transaction with no error but ROLLBACK, which a driver may pass on.
    if (ended.command === 'ROLLBACK') {
      throw new Error('nothing was written: a statement in the write had failed, and its error was swallowed there')
    }
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
    const written = forSession(standing, standing.position)
    if (this.#adopt(standing.systemIdentifier, epochOf(written))) this.#own = join(this.#own, written)
    else this.#moveBeyondKnowing()
  }

  #moveBeyondKnowing(): void {
    this.#own = position(Math.max(1, epochOf(this.#own)), MAX_LSN)
  }

  get #epoch(): number {
    return Math.max(epochOf(this.#own), epochOf(this.#seen))
  }

  /**
   * Positions of another system say nothing about this one (protocol 6.5). False when it is the session that is of the
   * newer one: what speaks here is an abandoned server, or a process that has yet to hear of the newest epoch, and may
   * void nothing.
   */
  #adopt(systemIdentifier: string, epoch: number): boolean {
    if (this.#systemIdentifier !== UNKNOWN_SYSTEM && this.#systemIdentifier !== systemIdentifier) {
      if (epoch < this.#epoch) return false
      this.#own = ORIGIN
      this.#seen = ORIGIN
    }
    this.#systemIdentifier = systemIdentifier
    return true
  }
}

/** Whether the server itself said that the transaction has not happened: a constraint, or a serialization failure. */
function wasRefused(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && /^(23|40)...$/.test(code) && code !== '40003'
}
