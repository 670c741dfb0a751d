import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { PriceHistory } from './price-history.ts'
import { setPriceIn } from './shop-database.ts'

export interface WritingPlan {
  readonly updates: number
  readonly perSecond: number
  /** Products 1 to this are written to. */
  readonly products: number
  readonly firstCents: number
  /** Connections that write at the same time; each has products of its own, so that one product's writes have an order. */
  readonly lanes: number
}

/** Sets prices at a steady pace, each one a transaction and a price that there was never before. */
export class PacedWriter {
  readonly #pool: Pool
  readonly #plan: WritingPlan
  readonly #history: PriceHistory
  readonly #signal: AbortSignal
  #written = 0

  constructor(pool: Pool, plan: WritingPlan, history: PriceHistory, signal: AbortSignal) {
    this.#pool = pool
    this.#plan = plan
    this.#history = history
    this.#signal = signal
  }

  /** Updates whose COMMIT has returned. */
  get written(): number {
    return this.#written
  }

  async run(): Promise<void> {
    const startMs = performance.now()
    const lanes = Array.from({ length: this.#plan.lanes }, (_, lane) => this.#runLane(lane, startMs))
    await Promise.all(lanes)
  }

  async #runLane(lane: number, startMs: number): Promise<void> {
    const { updates, perSecond, lanes, products, firstCents } = this.#plan
    for (let n = lane; n < updates; n += lanes) {
      this.#signal.throwIfAborted()
      const earlyMs = startMs + (n * 1_000) / perSecond - performance.now()
      if (earlyMs > 1) await sleep(earlyMs, undefined, { signal: this.#signal })
      const inLane = Math.floor(Math.random() * Math.floor(products / lanes))
      const id = 1 + lane + inLane * lanes
      this.#history.begins(id, firstCents + n)
      await setPriceIn(this.#pool, id, firstCents + n)
      this.#history.committed(id, performance.now())
      this.#written += 1
    }
  }
}
