import { expect, test } from '@jest/globals'
import { lsnOf, position } from '@tidemark/protocol'
import { Redis } from 'ioredis'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
const BYPASS = { reaction: 'bypass' }

test('each read is the primary’s, nothing is cached and no lease is taken', async () => {
  await using shop = await ShopContext.open(BYPASS)
  await shop.trust()
  using events = new RefillEvents()
  const product = (await shop.open()).cache('product', { load })
  for (let i = 0; i < 2; i++) {
    expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, freshness: 'fresh', from: 'primary' })
  }
  expect(await shop.redis.exists(`${shop.source.keyPrefix}:{0}:${shop.key(1)}`)).toBe(0)
  expect(events.named('read')).toMatchObject([{ doubt: 'bypass' }, { doubt: 'bypass' }])
})

test('what is left in Redis of a contract that cached is not served', async () => {
  await using shop = await ShopContext.open(BYPASS)
  await shop.trust()
  const guard = shop.guard()
  const lease = await guard.lease(shop.key(1), 'product', 'a'.repeat(16), 60_000, null)
  if (lease.code !== 'granted') throw new Error(lease.code)
  const label = { low: lease.granted, high: lease.granted }
  const value = { label, loadedAt: Date.now(), ttlMs: 60_000, payload: Buffer.from('{"id":1,"cents":1}') }
  expect(await guard.fill(shop.key(1), 'product', 'a'.repeat(16), value)).toEqual({ code: 'stored' })
  const product = (await shop.open()).cache('product', { load })
  expect(await product.get({ id: 1 })).toMatchObject({ cents: 1999 })
})

test('a session reads on after what it read and wrote, by what the view says that the primary shows', async () => {
  await using shop = await ShopContext.open(BYPASS)
  await shop.trust()
  const tidemark = await shop.open({ timings: { watermarkWaitMs: 20_000 } })
  const product = tidemark.cache('product', { load })
  const session = tidemark.session()
  await session.write((db) => db.query('update product set cents = 2499 where id = 1'))
  // Its own write needs no watermark; what it saw then does.
  expect(await product.read({ id: 1 }, { session })).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh' })
  await shop.setPrice(2, 2499)
  const second = product.read({ id: 1 }, { session })
  await shop.beat()
  expect(await second).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh' })
})

test('a session that has seen more than the primary is known to show is waited for, without a load, and then refused', async () => {
  await using shop = await ShopContext.open(BYPASS)
  await shop.trust()
  let loads = 0
  const tidemark = await shop.open({ timings: { watermarkWaitMs: 100 } })
  const product = tidemark.cache('product', {
    load: (db, params) => {
      loads++
      return load(db, params)
    },
  })
  const session = tidemark.session()
  session.saw(position(1, 1n << 60n), null)
  await expect(product.get({ id: 1 }, { session })).rejects.toThrow(/UNPROVABLE.*behind-session/)
  expect(loads).toBe(1)
})

test('I7 a primary of an older epoch than the view is not believed, nor is one that is not announced', async () => {
  await using shop = await ShopContext.open(BYPASS)
  await shop.trust()
  const product = (await shop.open()).cache('product', { load })
  const view = (await shop.guard().view())!
  const later = { ...view, epoch: '00000002', watermark: position(2, lsnOf(view.watermark)) }
  await shop.redis.set(`${shop.source.keyPrefix}.view:{0}`, JSON.stringify(later))
  await expect(product.read({ id: 1 })).rejects.toThrow(/UNPROVABLE.*unannounced/)
  await shop.redis.set(`${shop.source.keyPrefix}.view:{0}`, JSON.stringify(view))
  await shop.primary.query('update tidemark.epoch set timeline = timeline + 1')
  await expect((await shop.open()).cache('product', { load }).read({ id: 1 })).rejects.toThrow(
    /UNPROVABLE.*unannounced/,
  )
})

test('a gap, and a Redis that is away, do not matter to a reader without a session', async () => {
  await using shop = await ShopContext.open(BYPASS)
  const away = new Redis('redis://127.0.0.1:1', {
    enableOfflineQueue: false,
    lazyConnect: true,
    retryStrategy: () => null,
  })
  const read = async (redis: Redis) => (await shop.open({ redis })).cache('product', { load }).read({ id: 1 })
  const unlabelled = { freshness: 'fresh', from: 'primary', position: null }
  for (const redis of [shop.redis, away]) expect(await read(redis)).toMatchObject(unlabelled)
  await shop.trust()
  const { offset } = (await shop.guard().view())!
  await shop.guard().declareGap(99n, 'the log lost records', BigInt(`0x${offset}`), 0)
  expect(await read(shop.redis)).toMatchObject(unlabelled)
})
