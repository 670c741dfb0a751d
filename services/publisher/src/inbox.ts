import type { Lsn } from '@tidemark/protocol'
import type { Message } from './pgoutput.ts'
import type { TransactionAssembler } from './transaction-assembler.ts'
import { type Entry, type Snapshot, VisibilityGate } from './visibility-gate.ts'

export interface InboxOptions {
  readonly assembler: TransactionAssembler
  /** From here on reading stops, until half of it has gone. */
  readonly maxBytes: number
  readonly pause: () => void
  readonly resume: () => void
}

/**
 * What comes out of the socket and waits to be published: assembled transactions and keepalives, in the order of the
 * stream. It is bounded by not reading on. One transaction is still being assembled beside it, which has a bound of
 * its own; pausing for that one would wait for ever.
 */
export class Inbox {
  readonly #options: InboxOptions
  readonly #gate = new VisibilityGate()
  #paused = false
  #arrived = Promise.withResolvers<void>()

  constructor(options: InboxOptions) {
    this.#options = options
    options.assembler.reset()
  }

  get paused(): boolean {
    return this.#paused
  }

  get bytes(): number {
    return this.#gate.bytes + this.#options.assembler.openBytes
  }

  get head(): Entry | undefined {
    return this.#gate.head
  }

  /** Whether only the server's position waits: no transaction is held up by waiting for more. */
  get onlyKeepalive(): boolean {
    return this.#gate.size === 1 && this.#gate.head?.kind === 'keepalive'
  }

  accept(message: Message): void {
    const transaction = this.#options.assembler.accept(message)
    if (transaction) this.#add(transaction)
  }

  /** In the middle of a transaction the server's position may not pass that transaction's commit. */
  keepalive(lsn: Lsn): void {
    const open = this.#options.assembler.openCommitLsn
    this.#add({ kind: 'keepalive', lsn: open !== undefined && open < lsn ? open : lsn })
  }

  /** Takes what may be published; see `VisibilityGate.release`. */
  release(snapshot: Snapshot | undefined, maxKeys: number): Entry[] {
    const released = this.#gate.release(snapshot, maxKeys)
    if (this.#paused && this.#gate.bytes <= this.#options.maxBytes / 2) {
      this.#paused = false
      this.#options.resume()
    }
    return released
  }

  /** Resolves at the next arrival. */
  get arrival(): Promise<void> {
    return this.#arrived.promise
  }

  #add(entry: Entry): void {
    this.#gate.add(entry)
    if (!this.#paused && this.#gate.bytes > this.#options.maxBytes) {
      this.#paused = true
      this.#options.pause()
    }
    this.#arrived.resolve()
    this.#arrived = Promise.withResolvers()
  }
}
