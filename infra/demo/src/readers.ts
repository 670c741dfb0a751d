import type { PriceHistory } from './price-history.ts'
import type { Region } from './region.ts'

/** What a region's customers were shown. */
export interface Shown {
  readonly reads: number
  readonly fromCache: number
  readonly failed: number
  /** What the first of these was told. */
  readonly firstFailure: string | undefined
  /** Said by the shop itself to be stale. */
  readonly saidStale: number
  /** The oldest price that was shown as fresh: how long ago it had been replaced. */
  readonly oldestMs: number
}

/** Customers of one region, who look at products one after the other until they are told to stop. */
export class Readers {
  readonly #region: Region
  readonly #history: PriceHistory
  readonly #products: number
  readonly #shown = { reads: 0, fromCache: 0, failed: 0, saidStale: 0, oldestMs: 0 }
  #firstFailure: string | undefined
  readonly #signal: AbortSignal
  #stopped = false
  readonly #done: Promise<unknown>

  constructor(
    region: Region,
    history: PriceHistory,
    { products, customers, signal }: { products: number; customers: number; signal: AbortSignal },
  ) {
    this.#region = region
    this.#signal = signal
    this.#history = history
    this.#products = products
    this.#done = Promise.all(Array.from({ length: customers }, () => this.#browse()))
  }

  async stop(): Promise<Shown> {
    this.#stopped = true
    await this.#done
    return { ...this.#shown, firstFailure: this.#firstFailure }
  }

  async #browse(): Promise<void> {
    // Ends with the run, too: reads that are all refused at once would leave no time for anything else.
    while (!this.#stopped && !this.#signal.aborted)
      await this.#lookAtOne(1 + Math.floor(Math.random() * this.#products))
  }

  async #lookAtOne(id: number): Promise<void> {
    const askedMs = performance.now()
    this.#shown.reads += 1
    try {
      const { value, freshness, from } = await this.#region.shop.read(id)
      if (from === 'redis') this.#shown.fromCache += 1
      if (freshness === 'stale') this.#shown.saidStale += 1
      else {
        const staleMs = this.#history.stalenessMs(id, value.priceCents, askedMs)
        this.#shown.oldestMs = Math.max(this.#shown.oldestMs, staleMs)
      }
    } catch (error) {
      this.#shown.failed += 1
      this.#firstFailure ??= error instanceof Error ? error.message : String(error)
    }
  }
}
