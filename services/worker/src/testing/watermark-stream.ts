import { setTimeout as sleep } from 'node:timers/promises'
import { at, record } from './record-words.ts'
import type { RegionContext } from './region-context.ts'

const BEAT_MS = 20

/** For tests: a publisher's beat, a watermark to each partition again and again until it is disposed of. */
export class WatermarkStream implements AsyncDisposable {
  readonly #ctx: RegionContext
  readonly #partitions: readonly number[]
  readonly #done: Promise<void>
  #lsn: number
  #stopped = false

  constructor(ctx: RegionContext, partitions: readonly number[], fromLsn: number) {
    this.#ctx = ctx
    this.#partitions = partitions
    this.#lsn = fromLsn
    this.#done = this.#run()
    this.#done.catch(() => undefined)
  }

  /** Waits until what is published from now on is applied to every partition. */
  async untilApplied(): Promise<void> {
    const wanted = at(this.#lsn + 1)
    for (const p of this.#partitions) await this.#ctx.untilView('it is applied', (view) => view.watermark >= wanted, p)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const publish = this.#partitions.map((p) => this.#ctx.publish(p, record.watermark(this.#lsn)))
      await Promise.all(publish)
      this.#lsn += 1
      await sleep(BEAT_MS)
    }
  }
}
