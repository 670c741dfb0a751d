import type { Demand } from '@tidemark/guard'
import { type Contract, epochOf, join, MAX_LSN, ORIGIN, type Position, position } from '@tidemark/protocol'
import { type Connection, type ConnectionPool, type OnConnection, withConnection } from '../sources/database.ts'
import { forSession, type Standing, type StandingRow, standingOf } from '../sources/standing.ts'
import { ALL_PROMISED, demandOf } from './demand.ts'
import type { NewestEpoch } from './epoch-history.ts'
import type { TokenContent } from './token.ts'

const UNKNOWN_SYSTEM = '0'
const NOTHING: TokenContent = { systemIdentifier: UNKNOWN_SYSTEM, own: ORIGIN, seen: ORIGIN }

/** What a session asks of the Tidemark that opened it. */
export interface SessionHost {
  readonly primary: ConnectionPool
  readonly standingStatement: string
  /** The newest epoch that is known, and its system identifier; null when the publisher has recorded none. */
  newestEpoch(atLeast: number): Promise<NewestEpoch | null>
  signToken(content: TokenContent): string
  /** Throws TOKEN_INVALID. */
  readToken(token: string): TokenContent
  /** Told of what a session knows and no token of it says. */
  onUncarried(): void
}

/**
 * What one user wrote and saw, so that no later read is older (read-your-writes, monotonic reads). Both positions
 * only rise. Hand `token()` to the client, or along with a message; who gets it follows it, in a session of its own.
 */
export class Session {
  readonly #host: SessionHost
  #own: Position
  #seen: Position
  #systemIdentifier: string
  /** What whoever gets the tokens knows already: the token that the session was opened with, or the last one it gave. */
  #told: TokenContent

  constructor(host: SessionHost, content: TokenContent | null) {
    this.#host = host
    this.#told = content ?? NOTHING
    this.#own = this.#told.own
    this.#seen = this.#told.seen
    this.#systemIdentifier = this.#told.systemIdentifier
  }

  /**
   * Joins what a token says into the session: no later read is older than what its giver wrote and saw (causal reads).
   * Throws TOKEN_INVALID for one that is forged, foreign, malformed or too old, and then nothing has moved. Positions
   * of another system are void, unless they are of a newer epoch: then it is the session's that are.
   */
  follow(token: string): void {
    const { systemIdentifier, own, seen } = this.#host.readToken(token)
    if (systemIdentifier !== UNKNOWN_SYSTEM && !this.#mayFollow(systemIdentifier, own, seen)) return
    this.#own = join(this.#own, own)
    this.#seen = join(this.#seen, seen)
  }

  /** What a read must not be behind, by what its keyspace promises; null when nothing is asked. */
  async demand(promised: Contract['session'] = ALL_PROMISED): Promise<Demand | null> {
    const newest = await this.#host.newestEpoch(this.#epoch)
    if (newest) this.#adopt(newest.systemIdentifier, newest.epoch)
    return demandOf({ own: this.#own, seen: this.#seen }, promised)
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
  async write<T>(write: OnConnection<T>): Promise<T> {
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
    this.#told = { systemIdentifier: this.#systemIdentifier, own: this.#own, seen: this.#seen }
    return this.#host.signToken(this.#told)
  }

  /** Whether there is something to carry that the token it was opened with, or the last one it gave, does not say. */
  get hasNews(): boolean {
    return this.#own !== this.#told.own || this.#seen !== this.#told.seen
  }

  /** Says that no further token will be asked for: news that there are is lost, and that is counted. */
  end(): void {
    if (this.hasNews) this.#host.onUncarried()
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

  /** Of equal epochs neither system can be shown to be the abandoned one: the session stays what it is. */
  #mayFollow(systemIdentifier: string, own: Position, seen: Position): boolean {
    const epoch = Math.max(epochOf(own), epochOf(seen))
    const isOther = this.#systemIdentifier !== UNKNOWN_SYSTEM && this.#systemIdentifier !== systemIdentifier
    return !(isOther && epoch === this.#epoch) && this.#adopt(systemIdentifier, epoch)
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
