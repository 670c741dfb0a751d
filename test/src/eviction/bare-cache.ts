import type { Redis } from 'ioredis'
import type { Pool } from 'pg'
import { Tally } from './tally.ts'
import { loadRow, type WeightyRow } from './weighty-row.ts'

/** What one has without Tidemark: cache-aside, and DEL after a write. */
export class BareCache {
  readonly tally = new Tally()
  readonly #redis: Redis
  readonly #db: Pool
  readonly #prefix: string
  readonly #ttlMs: number

  constructor(redis: Redis, db: Pool, prefix: string, ttlMs: number) {
    this.#redis = redis
    this.#db = db
    this.#prefix = prefix
    this.#ttlMs = ttlMs
  }

  async read(id: number): Promise<void> {
    const cached = await this.#redis.get(this.keyOf(id))
    this.tally.note(cached !== null)
    if (cached !== null) return
    const row = await loadRow(this.#db, id)
    // Full and told to evict nothing, a Redis refuses: the app has its value all the same.
    await this.#redis.set(this.keyOf(id), JSON.stringify(row), 'PX', this.#ttlMs).catch(() => undefined)
  }

  async forget(id: number): Promise<void> {
    await this.#redis.del(this.keyOf(id))
  }

  /** The counter that is cached; undefined when none is. */
  async cached(id: number): Promise<number | undefined> {
    const cached = await this.#redis.get(this.keyOf(id))
    return cached === null ? undefined : (JSON.parse(cached) as WeightyRow).n
  }

  keyOf(id: number): string {
    return `${this.#prefix}:hot:${id}`
  }
}
