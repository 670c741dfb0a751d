import { TidemarkError } from '@tidemark/protocol'

/** A signal that is aborted with another one, or with DEADLINE_EXCEEDED when time is over before it was met. */
export class Deadline implements Disposable {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #outer: AbortSignal | undefined
  readonly #onAbort = () => this.#controller.abort(this.#outer!.reason)

  constructor(ms: number, who: string, outer?: AbortSignal) {
    const late = () => new TidemarkError('DEADLINE_EXCEEDED', `${who} did not answer within ${ms} ms`)
    this.#timer = setTimeout(() => this.#controller.abort(late()), ms)
    this.#outer = outer
    outer?.addEventListener('abort', this.#onAbort, { once: true })
    if (outer?.aborted) this.#onAbort()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  met(): void {
    clearTimeout(this.#timer)
  }

  [Symbol.dispose](): void {
    this.met()
    this.#outer?.removeEventListener('abort', this.#onAbort)
  }
}
