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

/** Calls with a signal of its own, aborted with the given one or when time is over; rejects with its reason then. */
export async function withDeadline<T>(
  call: (signal: AbortSignal) => Promise<T>,
  { ms, signal, who }: { readonly ms: number; readonly signal: AbortSignal | undefined; readonly who: string },
): Promise<T> {
  signal?.throwIfAborted()
  const deadline = new Deadline(ms, who, signal)
  const { promise: ended, reject } = Promise.withResolvers<never>()
  deadline.signal.addEventListener('abort', () => reject(deadline.signal.reason), { once: true })
  try {
    return await Promise.race([call(deadline.signal), ended])
  } finally {
    deadline[Symbol.dispose]()
  }
}

/** The answer, or DEADLINE_EXCEEDED after `ms`; what comes later is dropped. */
export function inTime<T>(answer: Promise<T>, ms: number, who: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new TidemarkError('DEADLINE_EXCEEDED', `${who} did not answer within ${ms} ms`))
    const timer = setTimeout(late, ms)
    answer.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
