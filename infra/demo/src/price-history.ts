interface Price {
  readonly cents: number
  /** When COMMIT returned; undefined while it has not. */
  committedMs: number | undefined
}

/** What prices a product had, in their order, to tell how old one is that was read. Times are of one monotonic clock. */
export class PriceHistory {
  readonly #prices = new Map<number, Price[]>()

  /** A write is about to be sent: from now on it may be seen. One product's writes come one after the other. */
  begins(id: number, cents: number): void {
    const prices = this.#prices.get(id) ?? []
    if (prices.length === 0) this.#prices.set(id, prices)
    prices.push({ cents, committedMs: undefined })
  }

  committed(id: number, nowMs: number): void {
    const newest = this.#prices.get(id)?.at(-1)
    if (newest) newest.committedMs = nowMs
  }

  /**
   * How long ago, at least, that price had been replaced when the read began. A price that is none of the history is
   * the one before it.
   */
  stalenessMs(id: number, cents: number, askedMs: number): number {
    const prices = this.#prices.get(id) ?? []
    const next = prices[prices.findIndex((price) => price.cents === cents) + 1]
    if (next?.committedMs === undefined) return 0
    return Math.max(0, askedMs - next.committedMs)
  }
}
