import { expect, test } from '@jest/globals'
import { isTidemarkError, lsnOf, position, satisfies, version } from '@tidemark/protocol'
import { Redis } from 'ioredis'
import type { Connection } from '../sources/database.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
const FAR = version(1, 1n << 60n)

test('a miss is loaded from the replica, and the next read is a hit', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open()).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, freshness: 'fresh', from: 'eu-1' })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, freshness: 'fresh', from: 'redis' })
})

test('a row that does not exist is cached as such', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open()).cache('product', { load })
  expect(await product.get({ id: 4711 })).toBeUndefined()
  expect(await product.read({ id: 4711 })).toMatchObject({ value: undefined, freshness: 'fresh', from: 'redis' })
})

test('I2 a lagging replica is refused and the primary asked', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await shop.invalidate(1, FAR) // no replica has replayed that far
  const product = (await shop.open()).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, from: 'primary', freshness: 'fresh' })
  expect(await product.read({ id: 2 })).toMatchObject({ from: 'eu-1' }) // whose own past asks for nothing
})

test('I2 a value loaded before an invalidation came is not stored after it', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open({ replicas: [] })).cache('product', {
    load: async (db, params) => {
      const row = await load(db, params)
      await shop.invalidate(1, await shop.setPrice(1, 2499))
      return row
    },
  })
  expect(await product.get({ id: 1 })).toMatchObject({ cents: 1999 })
  expect((await shop.guard().look(shop.key(1))).cell).toBeNull()
})

test('I2 a value that was cached is not served after its invalidation', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open()).cache('product', { load })
  await product.get({ id: 1 })
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  expect(await product.get({ id: 1 })).toMatchObject({ cents: 2499 })
})

test('I3 without a view the primary is asked, nothing is cached, and the position is not claimed', async () => {
  await using shop = await ShopContext.open()
  const product = (await shop.open()).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'primary', freshness: 'fresh', position: null })
  expect((await shop.guard().look(shop.key(1))).cell).toBeNull()
})

test('I7 a pipeline that has stalled leaves hits too old: the primary is asked, whose load is new', async () => {
  await using shop = await ShopContext.open({ maxStalenessMs: 30_000 })
  await shop.trust()
  const product = (await shop.open()).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'eu-1' }) // whose load proves no age
  await shop.beat()
  const view = (await shop.guard().view())!
  await shop.redis.set(`${shop.source.keyPrefix}.view:{0}`, JSON.stringify({ ...view, beat: view.beat - 60_000 }))
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'primary', freshness: 'fresh' })
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'redis', freshness: 'fresh' })
})

test('I7 a replica that answers so slowly that the beat grows too old is not the end: the primary is asked', async () => {
  // A third of it is the clocks' allowance, so that the beat lasts for a second.
  await using shop = await ShopContext.open({ maxStalenessMs: 1_500 })
  await shop.trust()
  const slowInRecovery = async (db: Connection, params: { id: unknown }) => {
    await db.query('select case when pg_is_in_recovery() then pg_sleep(1.1) end')
    return load(db, params)
  }
  const product = (await shop.open()).cache('product', { load: slowInRecovery })
  expect(await product.read({ id: 1 })).toMatchObject({ freshness: 'fresh', from: 'primary', value: { cents: 1999 } })
})

test('I7 a primary of an older epoch than the view is not believed', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await shop.beat(position(2, 1n)).catch(() => undefined) // unannounced: refused by the guard
  await shop.redis.set(
    `${shop.source.keyPrefix}.view:{0}`,
    JSON.stringify({ ...(await shop.guard().view()), epoch: '00000002', floors: { '*': position(2, 1n) } }),
  )
  const product = (await shop.open()).cache('product', { load })
  await expect(product.read({ id: 1 })).rejects.toThrow(/UNPROVABLE.*unannounced/)
  // Whoever has met the epoch remembers it when the view that said so is gone.
  await shop.redis.del(`${shop.source.keyPrefix}.view:{0}`)
  await expect(product.read({ id: 1 })).rejects.toThrow(/UNPROVABLE.*unannounced/)
  expect(await (await shop.open()).cache('product', { load }).read({ id: 1 })).toMatchObject({ from: 'primary' })
})

test('a server that was promoted and not announced fills nothing', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await shop.primary.query('update tidemark.epoch set timeline = timeline + 1')
  await shop.replicaCaughtUp()
  const product = (await shop.open()).cache('product', { load })
  await expect(product.read({ id: 1 })).rejects.toThrow(/UNPROVABLE.*unannounced/)
  expect((await shop.guard().look(shop.key(1))).cell).toBeNull()
})

test('a reader waits for the value that another loads', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  let loads = 0
  const product = (await shop.open()).cache('product', {
    load: async (db, params) => {
      loads++
      await gate
      return load(db, params)
    },
  })
  const readers = Array.from({ length: 20 }, () => product.get({ id: 1 }))
  setTimeout(open, 50)
  expect(await Promise.all(readers)).toHaveLength(20)
  expect(loads).toBe(1)
})

test('a lease whose holder died is waited for no longer than the bound', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await shop.guard().lease(shop.key(1), 'product', '0'.repeat(16), 60_000, null)
  const product = (await shop.open({ timings: { leaseWaitMs: 50 } })).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'primary', freshness: 'fresh', position: null })
})

test('a load that throws gives the lease back and is the cause of the error', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const tidemark = await shop.open()
  const broken = tidemark.cache('product', { load: (db) => db.query('select 1/0') })
  await expect(broken.get({ id: 1 })).rejects.toMatchObject({ code: 'LOAD_FAILED', cause: { code: '22012' } })
  expect(await tidemark.cache('product', { load }).read({ id: 1 })).toMatchObject({ from: 'eu-1' })
})

test('where the contract allows it, what was invalidated is served while nobody can load, and says so', async () => {
  await using shop = await ShopContext.open({ retainStaleMs: 60_000, whenUnprovable: 'serve-stale' })
  await shop.trust()
  const tidemark = await shop.open()
  await tidemark.cache('product', { load }).get({ id: 1 })
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  const broken = tidemark.cache('product', { load: (db) => db.query('select 1/0') })
  expect(await broken.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, freshness: 'stale', doubt: 'retained' })
})

test('without Redis reads go to the primary in bounded time', async () => {
  await using shop = await ShopContext.open()
  const nowhere = new Redis('redis://127.0.0.1:1', {
    enableOfflineQueue: false,
    lazyConnect: true,
    retryStrategy: () => null,
  })
  const product = (await shop.open({ redis: nowhere })).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'primary', freshness: 'fresh', position: null })
})

test('a session reads its own write, in another region too, by its token', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const tokenKeys = [{ id: 1, secret: 'a secret that has thirty-two bytes' }]
  const here = await shop.open({ tokenKeys })
  const there = await shop.open({ tokenKeys })
  await there.cache('product', { load }).get({ id: 1 }) // cached: the old price
  const session = here.session()
  await session.write((db) => db.query('update product set cents = 2499 where id = 1'))
  const arrived = there.session(session.token())
  const product = there.cache('product', { load })
  // The invalidation has not come: only the session knows that the hit is too old.
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, from: 'redis' })
  expect(await product.get({ id: 1 }, { session: arrived })).toMatchObject({ cents: 2499 })
})

test('a session that has seen a position is served nothing older (monotonic reads)', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'fail' })
  await shop.trust()
  const tidemark = await shop.open({ replicas: [], timings: { watermarkWaitMs: 100 } })
  const product = tidemark.cache('product', { load })
  const session = tidemark.session()
  session.saw(position(1, lsnOf(FAR)), null) // as a replica may show what the primary does not show yet
  await expect(product.get({ id: 1 }, { session })).rejects.toThrow(/UNPROVABLE.*behind-session/)
  const waiting = (await shop.open({ replicas: [], timings: { watermarkWaitMs: 10_000 } })).cache('product', { load })
  const reading = waiting.read({ id: 1 }, { session })
  await shop.beat(position(1, lsnOf(FAR) + 1n))
  const { position: reached } = await reading
  expect(satisfies(reached!, position(1, lsnOf(FAR)))).toBe(true)
})

test('a write that throws is rolled back and rethrown, and the session does not move', async () => {
  await using shop = await ShopContext.open()
  const session = (await shop.open()).session()
  const write = session.write(async (db) => {
    await db.query('update product set cents = 1 where id = 1')
    throw new RangeError('no')
  })
  await expect(write).rejects.toThrow(RangeError)
  expect(await session.demand()).toBeNull()
  expect((await shop.primary.query('select cents from product where id = 1')).rows[0].cents).toBe(1999)
})

test('what would not come back as it was is refused by name, and the lease is given back', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const odd = (await shop.open()).cache('product', { load: async () => ({ at: Symbol('nowhere') }) })
  const error = await odd.get({ id: 1 }).catch((e: unknown) => e)
  expect(isTidemarkError(error, 'VALUE_UNCACHEABLE') && error.message).toContain('value.at is ')
  expect((await shop.guard().look(shop.key(1))).cell).toBeNull()
})
