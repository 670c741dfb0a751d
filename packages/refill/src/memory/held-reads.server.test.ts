import { describe, expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import type { Redis } from 'ioredis'
import type { Cache } from '../read/cache.ts'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'
import type { Tidemark } from '../tidemark.ts'

const DEADLINE_MS = 20_000
const SECRET = 'a secret that is long enough to sign'

type Products = Cache<{ readonly id: number }, Product | undefined>

/** An app that holds values in memory; each of them is closed with it. */
class HoldingApp implements AsyncDisposable {
  readonly shop: ShopContext
  readonly tidemark: Tidemark<{ product: 'product:{id}' }>
  readonly product: Products
  readonly #subscriber: Redis

  static async open(contract: object = {}): Promise<HoldingApp> {
    const shop = await ShopContext.open(contract)
    await shop.trust()
    const subscriber = shop.redis.duplicate()
    const tokenKeys = [{ id: 1, secret: SECRET }]
    return new HoldingApp(shop, subscriber, await shop.open({ memory: { subscriber }, tokenKeys }))
  }

  private constructor(shop: ShopContext, subscriber: Redis, tidemark: Tidemark<{ product: 'product:{id}' }>) {
    this.shop = shop
    this.tidemark = tidemark
    this.#subscriber = subscriber
    const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
    this.product = tidemark.cache('product', { load }) as Products
  }

  /** Until a value is handed out from memory. */
  async hold(id: number): Promise<void> {
    const isHeld = async () => {
      await this.shop.beat()
      return (await this.product.read({ id })).from === 'memory'
    }
    await waitUntil('it is held', isHeld, { timeoutMs: DEADLINE_MS })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tidemark.close()
    this.#subscriber.disconnect()
    await this.shop[Symbol.asyncDispose]()
  }
}

describe('a value that is held', () => {
  test('is handed out without Redis, frozen, with its label, and counted', async () => {
    await using app = await HoldingApp.open()
    await app.hold(1)
    app.shop.redis.disconnect()
    using events = new RefillEvents()
    const reading = await app.product.read({ id: 1 })
    expect(reading).toMatchObject({ value: { cents: 1999 }, from: 'memory', freshness: 'fresh', doubt: null })
    expect(reading.label!.low <= reading.position!).toBe(true)
    expect(Object.isFrozen(reading.value)).toBe(true)
    expect(events.named('read')).toMatchObject([{ from: 'memory', fresh: true, doubt: null }])
  })

  test('I2 is not handed out once this process was told of its invalidation', async () => {
    await using app = await HoldingApp.open()
    await app.hold(1)
    await app.hold(2)
    await app.shop.invalidate(1, await app.shop.setPrice(1, 2499))
    const isTold = async () => (await app.product.read({ id: 1 })).value?.cents === 2499
    await waitUntil('it is told', isTold, { timeoutMs: DEADLINE_MS })
    expect(await app.product.read({ id: 2 })).toMatchObject({ from: 'memory' })
  })

  test('is asked beside those that are not: many keys at once', async () => {
    await using app = await HoldingApp.open()
    await app.hold(1)
    const readings = await app.product.readMany([{ id: 2 }, { id: 1 }, { id: 3 }])
    expect(readings.map(({ value }) => value?.id)).toEqual([2, 1, 3])
    expect(readings.map(({ from }) => from === 'memory')).toEqual([false, true, false])
  })

  test('is no answer to a session that has written since: the read goes on, and reads its write', async () => {
    await using app = await HoldingApp.open()
    await app.hold(1)
    const session = app.tidemark.session()
    await session.write((db) => db.query('update product set cents = 2499 where id = 1'))
    const reading = await app.product.read({ id: 1 }, { session })
    expect(reading).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh' })
    expect(reading.from).not.toBe('memory')
  })

  test('shows a session what a hit in Redis would', async () => {
    await using app = await HoldingApp.open()
    await app.hold(1)
    const session = app.tidemark.session()
    const before = await session.demand()
    const { from, label } = await app.product.read({ id: 1 }, { session })
    expect(from).toBe('memory')
    expect([before, await session.demand()]).toMatchObject([null, { seen: label!.high }])
  })

  test('is judged by the age that the call allows, and passed by where the primary alone will do', async () => {
    await using app = await HoldingApp.open()
    await app.hold(1)
    const isTooOld = async () => (await app.product.read({ id: 1 }, { maxStalenessMs: 510 })).from !== 'memory'
    await waitUntil('its beat is older', isTooOld, { timeoutMs: DEADLINE_MS })
    expect(await app.product.read({ id: 1 })).toMatchObject({ from: 'memory' })
    expect(await app.product.read({ id: 1 }, { consistency: 'strong' })).toMatchObject({ from: 'primary' })
    const any = await app.product.read({ id: 1 }, { consistency: 'any', maxStalenessMs: 1 })
    expect(any).toMatchObject({ from: 'memory', freshness: 'stale', doubt: 'too-old' })
  })

  test('is handed to nobody once Tidemark is closed', async () => {
    await using app = await HoldingApp.open()
    await app.hold(1)
    await app.tidemark.close()
    await expect(app.product.read({ id: 1 })).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

test('nothing is held of a keyspace whose contract says so', async () => {
  await using app = await HoldingApp.open({ memory: false })
  for (let reads = 0; reads < 5; reads++) {
    await app.shop.beat()
    expect((await app.product.read({ id: 1 })).from).not.toBe('memory')
  }
})

test('all bounds that bound nothing are refused at once', async () => {
  await using shop = await ShopContext.open()
  const memory = { subscriber: shop.redis, maxEntries: 0, maxBytes: -1, silenceMs: Number.NaN }
  await expect(shop.open({ memory })).rejects.toThrow(/CONFIG_INVALID.*maxEntries.*maxBytes.*silenceMs/s)
})
