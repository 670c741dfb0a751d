import type { PriceHistory } from './price-history.ts'
import type { Region } from './region.ts'

/** What a region's customers were shown. */
export interface Shown {
  readonly reads: number
  readonly fromCache: number
  readonly failed: number
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
  #shown = { reads: 0, fromCache: 0, failed: 0, saidStale: 0, oldestMs: 0 }
  #stopped = false
  readonly #done: Promise<unknown>

  constructor(region: Region, history: PriceHistory, products: number, customers: number) {
    this.#region = region
    this.#history = history
    this.#products = products
    this.#done = Promise.all(Array.from({ length: customers }, () => this.#browse()))
  }

  async stop(): Promise<Shown> {
    this.#stopped = true
    await this.#done
    return this.#shown
  }

  async #browse(): Promise<void> {
    while (!this.#stopped) await this.#lookAtOne(1 + Math.floor(Math.random() * this.#products))
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
    } catch {
      this.#shown.failed += 1
    }
  }
}
