import { RedisServer } from '@tidemark/local'
import type { Redis } from 'ioredis'
import { quietRedis } from '../pipeline/pipeline-context.ts'

const FULL = 0.97

/** A Redis that tells of what it evicts. */
export class CacheServer implements AsyncDisposable {
  readonly redis: Redis
  readonly url: string
  readonly #resources: AsyncDisposableStack

  private constructor(server: RedisServer, redis: Redis, resources: AsyncDisposableStack) {
    this.url = server.url
    this.redis = redis
    this.#resources = resources
  }

  static async start(name: string): Promise<CacheServer> {
    await using resources = new AsyncDisposableStack()
    const server = resources.use(await RedisServer.start({ name, settings: { 'notify-keyspace-events': 'Ee' } }))
    const redis = resources.adopt(quietRedis(server.url), (client) => client.disconnect())
    return new CacheServer(server, redis, resources.move())
  }

  /** From now on so much may be stored, beyond what it has needed so far for itself and its connections. */
  async limitTo(roomBytes: number): Promise<void> {
    await this.redis.config('SET', 'maxmemory', (await this.#memory('used_memory')) + roomBytes)
  }

  async evictBy(policy: string): Promise<void> {
    await this.redis.config('SET', 'maxmemory-policy', policy)
  }

  async isFull(): Promise<boolean> {
    return (await this.#memory('used_memory')) >= FULL * (await this.#memory('maxmemory'))
  }

  /** What a key takes, as Redis reckons; zero when there is none. */
  async usageOf(key: string): Promise<number> {
    return (await this.redis.memory('USAGE', key, 'SAMPLES', 0)) ?? 0
  }

  async #memory(field: 'used_memory' | 'maxmemory'): Promise<number> {
    const info = await this.redis.info('memory')
    return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync()
  }
}
