import { setTimeout as sleep } from 'node:timers/promises'

/** How long one call may still take, and whether its caller still wants it. Every wait of the call goes through it. */
export class Budget {
  readonly signal: AbortSignal | undefined
  readonly #endsAt: number

  /** Throws the signal's reason when it is aborted already. */
  constructor(ms: number, signal: AbortSignal | undefined) {
    signal?.throwIfAborted()
    this.signal = signal
    this.#endsAt = performance.now() + ms
  }

  get leftMs(): number {
    return Math.max(0, this.#endsAt - performance.now())
  }

  get isOver(): boolean {
    return this.leftMs === 0
  }

  /** The answer; null when time is over before it has come. Rejects with the signal's reason as soon as it is aborted. */
  async within<T>(answer: Promise<T>, ms = this.leftMs): Promise<T | null> {
    const { signal } = this
    signal?.throwIfAborted()
    const { promise: ended, resolve, reject } = Promise.withResolvers<null>()
    const timer = setTimeout(resolve, ms, null)
    const aborted = () => reject(signal!.reason)
    signal?.addEventListener('abort', aborted, { once: true })
    try {
      return await Promise.race([answer, ended])
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
    }
  }

  async pause(ms: number): Promise<void> {
    try {
      await sleep(Math.min(ms, this.leftMs), undefined, this.signal && { signal: this.signal })
    } catch (error) {
      this.signal?.throwIfAborted()
      throw error
    }
  }
}
