import type { Logger } from '@tidemark/service'
import type { LogRange } from './log-range.ts'

export interface LagProbeOptions {
  readonly ranges: () => Promise<ReadonlyMap<number, LogRange>>
  readonly lagRecords: (ranges: ReadonlyMap<number, LogRange>) => number | undefined
  readonly intervalMs: number
  readonly log: Logger
}

/** Asks Kafka now and then how far its log has grown beyond what is applied. What it cannot learn is unknown. */
export class LagProbe implements Disposable {
  readonly #options: LagProbeOptions
  readonly #timer: NodeJS.Timeout
  #asking = false
  #records: number | undefined

  constructor(options: LagProbeOptions) {
    this.#options = options
    this.#timer = setInterval(() => void this.#ask(), options.intervalMs)
  }

  get records(): number | undefined {
    return this.#records
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#records = undefined
  }

  async #ask(): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    const { ranges, lagRecords, log } = this.#options
    try {
      this.#records = lagRecords(await ranges())
    } catch (error) {
      this.#records = undefined
      log.debug({ err: error }, 'the lag is not known')
    } finally {
      this.#asking = false
    }
  }
}
