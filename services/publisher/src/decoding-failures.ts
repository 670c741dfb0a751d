import { isTidemarkError, type Lsn } from '@tidemark/protocol'

/** A passing failure of the server is not worth an epoch. */
const MAX_FAILURES = 3

/**
 * How often the server failed to decode its log from where the slot stands. Every attempt from there fails in the same
 * way: without an end to it the publisher would try for ever.
 */
export class DecodingFailures {
  #from: Lsn | undefined
  #count = 0

  /** The slot's position from which it has failed too often. */
  get lastingFrom(): Lsn | undefined {
    return this.#count >= MAX_FAILURES ? this.#from : undefined
  }

  /** Takes what ended a life, and where its stream began: any other error says nothing about the slot. */
  ended(error: unknown, from: Lsn): void {
    if (!isTidemarkError(error, 'SLOT_UNDECODABLE')) return
    this.#count = from === this.#from ? this.#count + 1 : 1
    this.#from = from
  }
}
