import { decodeView, Guard, partitionKeys, type Sight, type View } from '@tidemark/guard'
import { keyFor, type Position, partitionOf, type Source, satisfies } from '@tidemark/protocol'
import type { Redis } from 'ioredis'
import type { CachedProduct } from './audit.ts'
import type { NaiveShop } from './naive-shop.ts'
import type { ShopClient } from './shop-client.ts'

const SCAN_COUNT = 1_000
const LOOK_AT_ONCE = 500

/** One region as the story sees it: its shop, the naive shop beside it, and what their Redis holds. */
export class Region {
  readonly name: string
  readonly shop: ShopClient
  readonly naive: NaiveShop
  readonly #redis: Redis
  readonly #source: Source

  constructor(name: string, parts: { shop: ShopClient; naive: NaiveShop; redis: Redis; source: Source }) {
    this.name = name
    this.shop = parts.shop
    this.naive = parts.naive
    this.#redis = parts.redis
    this.#source = parts.source
  }

  async look(id: number): Promise<Sight> {
    const { partition, key } = this.#place(id)
    return new Guard(this.#redis, partitionKeys(this.#source.keyPrefix, partition)).look(key)
  }

  /** The views of all partitions; null where there is none. */
  async views(): Promise<(View | null)[]> {
    const { keyPrefix, partitions } = this.#source
    const keys = Array.from({ length: partitions }, (_, p) => partitionKeys(keyPrefix, p).view)
    return (await this.#redis.mgetBuffer(keys)).map(decodeView)
  }

  /** Whether every invalidation that `position` covers has been applied here. */
  async hasReached(position: Position): Promise<boolean> {
    const views = await this.views()
    return views.every((view) => view !== null && view.gap === undefined && satisfies(view.watermark, position))
  }

  /** Records applied so far, over all partitions: what a worker that starts again goes on from. */
  async storedOffset(): Promise<number> {
    const views = await this.views()
    return views.reduce((sum, view) => sum + (view === null ? 0 : Number(BigInt(`0x${view.offset}`))), 0)
  }

  /** Every product that is in this Redis, each with the view that was read in the same command. */
  async cachedProducts(): Promise<CachedProduct[]> {
    const found: CachedProduct[] = []
    const ids = await this.#cachedIds()
    for (let at = 0; at < ids.length; at += LOOK_AT_ONCE) {
      const some = ids.slice(at, at + LOOK_AT_ONCE)
      found.push(...(await Promise.all(some.map(async (id) => ({ id, ...(await this.look(id)) })))))
    }
    return found
  }

  /** Ends: a full SCAN comes back to its cursor, and nothing else fills this Redis. */
  async #cachedIds(): Promise<number[]> {
    const cell = new RegExp(`^${this.#source.keyPrefix}:\\{\\d+\\}:product:(\\d+)$`)
    const ids = new Set<number>()
    let cursor = '0'
    do {
      const [next, keys] = await this.#redis.scan(cursor, 'COUNT', SCAN_COUNT)
      for (const key of keys) {
        const id = cell.exec(key)?.[1]
        if (id !== undefined) ids.add(Number(id))
      }
      cursor = next
    } while (cursor !== '0')
    return [...ids]
  }

  #place(id: number): { partition: number; key: string } {
    const key = keyFor(this.#source.keyspaces.product!.template, { id })
    return { key, partition: partitionOf(key, this.#source.partitions) }
  }
}
