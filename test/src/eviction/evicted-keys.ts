import type { Redis } from 'ioredis'

export type EvictedKind = 'cell' | 'generation' | 'view'

/** Counts what a Redis evicts, by what it was. */
export class EvictedKeys implements Disposable {
  readonly counts: Record<EvictedKind, number> = { cell: 0, generation: 0, view: 0 }
  readonly #subscriber: Redis

  private constructor(subscriber: Redis) {
    this.#subscriber = subscriber
    subscriber.on('message', (_, key: string) => {
      this.counts[kindOf(key)]++
    })
  }

  static async watch(redis: Redis): Promise<EvictedKeys> {
    const subscriber = redis.duplicate()
    const watch = new EvictedKeys(subscriber)
    await subscriber.subscribe('__keyevent@0__:evicted')
    return watch
  }

  [Symbol.dispose](): void {
    this.#subscriber.disconnect()
  }
}

function kindOf(key: string): EvictedKind {
  if (key.includes('.view:')) return 'view'
  return key.includes('.tombstones:') ? 'generation' : 'cell'
}
