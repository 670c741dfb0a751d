import { isTidemarkError, type Lsn } from '@tidemark/protocol'

/** A passing failure of the server is not worth an epoch. */
const MAX_FAILURES = 3

/** SLOT_LOST of a slot that stays where it is: the server will not stream, and does not call it lost. */
const CODES = ['SLOT_UNDECODABLE', 'SLOT_LOST']

/**
 * How often the server failed to decode its log from where the slot stands. Every attempt from there fails in the same
 * way (also where the publication was not there for a while: up to 17 its changes of then cannot be decoded): without an
 * end to it the publisher would try for ever.
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
    if (!isTidemarkError(error) || !CODES.includes(error.code)) return
    this.#count = from === this.#from ? this.#count + 1 : 1
    this.#from = from
  }
}
