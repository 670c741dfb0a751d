import type { TransactionHolder } from '@tidemark/postgres'
import { type Logger, outageLevel } from '@tidemark/service'

const MIN_POLL_MS = 1
const MAX_POLL_MS = 50
const FIRST_REPORT_MS = 1_000

/** Asks the primary who keeps the transaction with that id from being visible; undefined when nobody is seen to. */
export type FindHolder = (xid: number) => Promise<TransactionHolder | undefined>

/**
 * Watches the transaction at the head while it is not visible: how long it has been held back, when to look again,
 * when to say so. A synchronous standby that is away makes this last, and nothing here can end it: the caller's
 * signal, or the server, does.
 */
export class HeldBack {
  readonly #log: Logger
  #xid: number | undefined
  #sinceMs = 0
  #pollMs = MIN_POLL_MS
  #reportAtMs = FIRST_REPORT_MS

  constructor(log: Logger) {
    this.#log = log
  }

  /** Seconds that the head has been held back, undefined when none is. */
  seconds(nowMs: number): number | undefined {
    return this.#xid === undefined ? undefined : (nowMs - this.#sinceMs) / 1000
  }

  /** The head was not visible. @returns how long to wait before the next look, in milliseconds */
  still(xid: number, nowMs: number, findHolder: FindHolder): number {
    if (this.#xid !== xid) {
      this.passed()
      this.#xid = xid
      this.#sinceMs = nowMs
    }
    this.#report(xid, nowMs - this.#sinceMs, findHolder)
    const pollMs = this.#pollMs
    this.#pollMs = Math.min(MAX_POLL_MS, pollMs * 2)
    return pollMs
  }

  /** The head went through, or there is none. */
  passed(): void {
    this.#xid = undefined
    this.#pollMs = MIN_POLL_MS
    this.#reportAtMs = FIRST_REPORT_MS
  }

  #report(xid: number, ageMs: number, findHolder: FindHolder): void {
    if (ageMs < this.#reportAtMs) return
    this.#reportAtMs *= 2
    const say = (more: object) => {
      this.#log[outageLevel(ageMs)](
        { xid, ageMs, ...more },
        'a committed transaction is not visible yet and is held back',
      )
    }
    // The gate does not wait for the answer: by then it may be open.
    findHolder(xid).then(
      (holder) => say({ holder: holder ?? 'nobody any more' }),
      (error: unknown) => say({ err: error }),
    )
  }
}
