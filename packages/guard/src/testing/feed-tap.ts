import { once } from 'node:events'
import type { Redis } from 'ioredis'
import type { FeedSubscriber } from '../feed.ts'

const DEADLINE_MS = 10_000

/** A subscriber that hands on one message at a time, when the test asks for it. */
export class FeedTap implements FeedSubscriber, AsyncDisposable {
  readonly #redis: Redis
  readonly #arrived: [channel: string, text: string][] = []
  #listener: (channel: string, text: string) => void = () => undefined

  /** @param redis of its own: it is put in subscriber mode */
  constructor(redis: Redis) {
    this.#redis = redis
    redis.on('message', (channel, text) => this.#arrived.push([channel, text]))
  }

  subscribe(...channels: string[]): Promise<unknown> {
    return this.#redis.subscribe(...channels)
  }

  unsubscribe(...channels: string[]): Promise<unknown> {
    return this.#redis.unsubscribe(...channels)
  }

  on(event: 'message' | 'close' | 'ready', listener: (channel: string, text: string) => void): void {
    if (event === 'message') this.#listener = listener
  }

  off(event: 'message' | 'close' | 'ready'): void {
    if (event === 'message') this.#listener = () => undefined
  }

  /** How many messages have come that were not handed on. */
  get waiting(): number {
    return this.#arrived.length
  }

  /** Hands on the next message, and gives its text. */
  async deliver(): Promise<string> {
    if (this.#arrived.length === 0) {
      await once(this.#redis, 'message', { signal: AbortSignal.timeout(DEADLINE_MS) })
    }
    const [channel, text] = this.#arrived.shift()!
    this.#listener(channel, text)
    return text
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#redis.quit()
  }
}
