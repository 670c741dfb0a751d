import { setTimeout as sleep } from 'node:timers/promises'
import type { View } from '@tidemark/guard'
import type { PipelineContext } from '../pipeline/pipeline-context.ts'

const EVERY_MS = 50

/**
 * Counts how often horizons rose, and how often a gap was closed (which raises the floor of all), over all partitions.
 * Readers look at the views all the time; a look more changes nothing of what is evicted.
 */
export class ViewMoves implements AsyncDisposable {
  horizons = 0
  gaps = 0
  readonly #context: PipelineContext
  readonly #ending = new AbortController()
  readonly #ended: Promise<void>

  constructor(context: PipelineContext) {
    this.#context = context
    this.#ended = this.#watch()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    await this.#ended
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ending
    const known = new Map<number, View>()
    while (!signal.aborted) {
      const views = await this.#context.views().catch(() => [])
      for (const [partition, view] of views.entries()) {
        if (view === null || view.gap !== undefined) continue
        this.#compare(known.get(partition), view)
        known.set(partition, view)
      }
      await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  #compare(before: View | undefined, now: View): void {
    if (before === undefined) return
    if (before.floors['*'] !== now.floors['*']) this.gaps++
    else if (before.horizon !== now.horizon) this.horizons++
  }
}
