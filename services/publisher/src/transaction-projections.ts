/** Of all rows of one transaction. Beyond it they are dropped, and the events invalidate. */
export const MAX_TRANSACTION_PROJECTION_BYTES = 8 * 1024 * 1024

/** Bytes that a projection costs beside its own: a buffer with its store, and a map's entry. */
const PROJECTION_OVERHEAD_BYTES = 256

/**
 * What the rows that a transaction changes are at its commit, by key. The last change of a key decides: what it does not
 * know nobody does. Bounded, for a transaction is not; keys without a projection are only invalidated.
 */
export class TransactionProjections {
  /** Null for a key that somebody asked to have invalidated: whatever else happens to it, it is. */
  readonly #ofKeys = new Map<string, Buffer | null>()
  #bytes = 0
  #dropped = false

  get ofKeys(): ReadonlyMap<string, Buffer | null> {
    return this.#ofKeys
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether there were too many: none are kept any more. */
  get dropped(): boolean {
    return this.#dropped
  }

  /** @param projection undefined when the change leaves the key without a row, or with one that is not known whole */
  set(key: string, projection: Buffer | undefined): void {
    if (this.#dropped || this.#ofKeys.get(key) === null) return
    this.forget(key)
    if (projection === undefined) return
    this.#bytes += costOf(projection)
    if (this.#bytes > MAX_TRANSACTION_PROJECTION_BYTES) this.#drop()
    else this.#ofKeys.set(key, standingAlone(projection))
  }

  /** The key is to be invalidated, whatever its row says. */
  forbid(key: string): void {
    if (this.#dropped) return
    this.forget(key)
    this.#ofKeys.set(key, null)
    this.#bytes += costOf(null)
  }

  /** A floor covers the key. */
  forget(key: string): void {
    const known = this.#ofKeys.get(key)
    if (known === undefined) return
    this.#ofKeys.delete(key)
    this.#bytes -= costOf(known)
  }

  #drop(): void {
    this.#ofKeys.clear()
    this.#bytes = 0
    this.#dropped = true
  }
}

function costOf(projection: Buffer | null): number {
  return PROJECTION_OVERHEAD_BYTES + (projection?.length ?? 0)
}

/** Small buffers are parts of a page that Node shares out: one that stays would keep all of it. */
function standingAlone(projection: Buffer): Buffer {
  const alone = Buffer.allocUnsafeSlow(projection.length)
  projection.copy(alone)
  return alone
}
