import { expect, test } from '@jest/globals'
import { RedisServer, waitUntil } from '@tidemark/local'
import { Redis } from 'ioredis'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])

/** A shop whose Redis is the test's own to pause. */
async function openShop(resources: AsyncDisposableStack) {
  const server = resources.use(await RedisServer.start())
  const shop = resources.use(await ShopContext.open({}, { redisUrls: { 'eu-west': server.url } }))
  resources.defer(() => server.resume())
  await shop.trust()
  return { server, shop }
}

test('while Redis is paused reads come from the primary in bounded time, and from Redis again after it', async () => {
  await using resources = new AsyncDisposableStack()
  const { server, shop } = await openShop(resources)
  using events = new RefillEvents()
  const product = (await shop.open({ timings: { redisTimeoutMs: 50 } })).cache('product', { load })
  await product.get({ id: 1 })
  server.pause()
  const start = performance.now()
  const readings = await Promise.all(Array.from({ length: 20 }, () => product.read({ id: 1 })))
  expect(performance.now() - start).toBeLessThan(10_000)
  expect(new Set(readings.map((r) => `${r.from} ${r.freshness} ${r.position}`))).toEqual(
    new Set(['primary fresh null']),
  )
  expect(events.named('redisFailed')).toHaveLength(20)
  expect(events.named('redisFailed')[0]).toMatchObject({ error: { code: 'DEADLINE_EXCEEDED' } })
  server.resume()
  await waitUntil('Redis serves again', async () => (await product.read({ id: 1 })).from === 'redis', {
    timeoutMs: 20_000,
  })
})

test('a Redis that is paused in the middle of a load costs the caller nothing but the wait', async () => {
  await using resources = new AsyncDisposableStack()
  const { server, shop } = await openShop(resources)
  using events = new RefillEvents()
  const pausing = (await shop.open({ timings: { redisTimeoutMs: 50 } })).cache('product', {
    load: async (db, params) => {
      server.pause()
      return load(db, params)
    },
  })
  expect(await pausing.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, freshness: 'fresh' })
  expect(events.named('refill')).toMatchObject([{ outcome: 'redis-away' }])
})

test('a load that fails while Redis is paused fails by its own error', async () => {
  await using resources = new AsyncDisposableStack()
  const { server, shop } = await openShop(resources)
  const failing = (await shop.open({ timings: { redisTimeoutMs: 50 } })).cache('product', {
    load: async (db) => {
      server.pause()
      return db.query('select 1/0')
    },
  })
  await expect(failing.get({ id: 1 })).rejects.toMatchObject({ code: 'LOAD_FAILED', cause: { code: '22012' } })
})

test('without Redis a session reads its own write, and what it saw nobody can show it', async () => {
  await using shop = await ShopContext.open()
  const redis = new Redis('redis://127.0.0.1:1', {
    enableOfflineQueue: false,
    lazyConnect: true,
    retryStrategy: () => null,
  })
  const tidemark = await shop.open({ redis })
  const session = tidemark.session()
  await session.write((db) => db.query('update product set cents = 2499 where id = 1'))
  const product = tidemark.cache('product', { load })
  expect(await product.read({ id: 1 }, { session })).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh' })
  await expect(product.read({ id: 1 }, { session })).rejects.toThrow(/UNPROVABLE.*behind-session/)
})
