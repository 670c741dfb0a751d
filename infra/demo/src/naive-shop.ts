import type { Redis } from 'ioredis'
import type { Pool } from 'pg'

export interface NaiveReading {
  readonly priceCents: number
  readonly from: 'redis' | 'database'
}

const TTL_SECONDS = 300

/**
 * What most shops do: delete the key after the write, in every region; on a miss read the nearest server and cache
 * what it says. Each step is right by itself. It stands here to be compared with, on the same servers and rows.
 */
export class NaiveShop {
  readonly #redis: Redis
  readonly #nearest: Pool
  readonly #prefix: string

  /** @param prefix of its keys; another for every telling, since a cache outlives it on servers that were there before */
  constructor(redis: Redis, nearest: Pool, prefix: string) {
    this.#redis = redis
    this.#nearest = nearest
    this.#prefix = prefix
  }

  async read(id: number): Promise<NaiveReading> {
    const cached = await this.#redis.get(this.#key(id))
    if (cached !== null) return { priceCents: Number(cached), from: 'redis' }
    const { rows } = await this.#nearest.query<{ cents: number }>('select cents from price where product_id = $1', [id])
    const priceCents = rows[0]!.cents
    await this.#redis.set(this.#key(id), priceCents, 'EX', TTL_SECONDS)
    return { priceCents, from: 'database' }
  }

  /** After a write, in each region: the delete that is to make the next read a miss. */
  async forget(id: number): Promise<void> {
    await this.#redis.del(this.#key(id))
  }

  async isCached(id: number): Promise<boolean> {
    return (await this.#redis.exists(this.#key(id))) === 1
  }

  /** How long what is cached will still be served, in seconds. */
  async secondsLeft(id: number): Promise<number> {
    return this.#redis.ttl(this.#key(id))
  }

  #key(id: number): string {
    return `${this.#prefix}:price:${id}`
  }
}
