import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { CHANNEL, type RefillEvent } from '@tidemark/refill'

/** Counts why the reads of a source could not use what Redis held. */
export class MissReasons implements Disposable {
  readonly counts: Record<string, number> = {}
  readonly #source: string

  constructor(source: string) {
    this.#source = source
    subscribe(CHANNEL, this.#note)
  }

  [Symbol.dispose](): void {
    unsubscribe(CHANNEL, this.#note)
  }

  readonly #note = (message: unknown): void => {
    const event = message as RefillEvent
    if (event.source !== this.#source || event.event !== 'read' || event.doubt === null) return
    this.counts[event.doubt] = (this.counts[event.doubt] ?? 0) + 1
  }
}
