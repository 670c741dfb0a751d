import { TidemarkError } from '@tidemark/protocol'

/** The calls of one Tidemark that are under way. Each has a bound of its own; once it is closed there are no more. */
export class Calls {
  readonly #underWay = new Set<Promise<unknown>>()
  #isClosed = false

  /** Throws CLOSED. */
  async run<T>(call: () => Promise<T>): Promise<T> {
    if (this.#isClosed)
      throw new TidemarkError('CLOSED', 'this Tidemark was closed', { mend: 'Close it after the last read' })
    const answer = call()
    this.#underWay.add(answer)
    try {
      return await answer
    } finally {
      this.#underWay.delete(answer)
    }
  }

  /** Takes no more calls from now on, and resolves when those under way have ended, whatever with. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#underWay)
  }
}
