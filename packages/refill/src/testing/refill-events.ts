import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { CHANNEL, type RefillEvent } from '../events.ts'

/** Everything that is told on the channel while it is open, in the order of telling. */
export class RefillEvents implements Disposable {
  readonly all: RefillEvent[] = []
  readonly #listener = (message: unknown) => void this.all.push(message as RefillEvent)

  constructor() {
    subscribe(CHANNEL, this.#listener)
  }

  named<N extends RefillEvent['event']>(name: N): Extract<RefillEvent, { event: N }>[] {
    return this.all.filter((e): e is Extract<RefillEvent, { event: N }> => e.event === name)
  }

  [Symbol.dispose](): void {
    unsubscribe(CHANNEL, this.#listener)
  }
}
