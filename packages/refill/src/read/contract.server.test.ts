import { expect, test } from '@jest/globals'
import { decodePayload, type RedisClient } from '@tidemark/guard'
import { lsnOf, position, version } from '@tidemark/protocol'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
const FAR = 1n << 60n

test('"there is no such row" lives for negativeTtlMs, a value for ttlMs', async () => {
  await using shop = await ShopContext.open({ ttlMs: 900_000, negativeTtlMs: 90_000 })
  await shop.trust()
  const product = (await shop.open()).cache('product', { load })
  await product.get({ id: 1 })
  await product.get({ id: 4711 })
  const ttlOf = (id: number) => shop.redis.pttl(`${shop.source.keyPrefix}:{0}:${shop.key(id)}`)
  expect(await ttlOf(1)).toBeGreaterThan(600_000)
  expect(await ttlOf(4711)).toBeGreaterThan(60_000)
  expect(await ttlOf(4711)).toBeLessThanOrEqual(90_000)
})

test('with negativeTtlMs 0 an absent row is not cached, null no more than undefined, and the lease is given back', async () => {
  await using shop = await ShopContext.open({ negativeTtlMs: 0 })
  await shop.trust()
  using events = new RefillEvents()
  const tidemark = await shop.open()
  for (const nothing of [undefined, null]) {
    const product = tidemark.cache('product', { load: async (db, p) => (await load(db, p)) ?? nothing })
    for (let i = 0; i < 2; i++) expect(await product.read({ id: 4711 })).toMatchObject({ value: nothing, from: 'eu-1' })
  }
  expect(events.named('refill').map((e) => e.outcome)).toEqual(Array(4).fill('not-wanted'))
  expect(await shop.redis.exists(`${shop.source.keyPrefix}:{0}:${shop.key(4711)}`)).toBe(0)
})

test('a value that is larger than maxValueBytes is handed over and not cached', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using events = new RefillEvents()
  const bytes = (n: number) => ({ load: async (db: Connection) => (await db.query('select 1')) && 'x'.repeat(n - 2) })
  const tidemark = await shop.open({ maxValueBytes: 1_000 })
  expect(await tidemark.cache('product', bytes(1_001)).read({ id: 1 })).toMatchObject({ freshness: 'fresh' })
  expect((await shop.guard().look(shop.key(1))).cell).toBeNull()
  await tidemark.cache('product', bytes(1_000)).get({ id: 1 })
  expect(decodePayload((await shop.guard().look(shop.key(1))).cell!.payload).body).toHaveLength(1_000)
  expect(events.named('refill').map((e) => e.outcome)).toEqual(['too-large', 'stored'])
})

test('a value over a live one that no longer serves replaces it', async () => {
  await using shop = await ShopContext.open({ maxStalenessMs: 30_000 })
  await shop.trust()
  using events = new RefillEvents()
  const tidemark = await shop.open({ replicas: [] })
  const product = tidemark.cache('product', { load })
  const session = tidemark.session()
  await product.get({ id: 1 })
  const stalled = JSON.stringify({ ...(await shop.guard().view())!, beat: Date.now() - 60_000 })
  await shop.redis.set(`${shop.source.keyPrefix}.view:{0}`, stalled)
  const cell = async () => (await shop.guard().look(shop.key(1))).cell!
  const first = await cell()
  session.saw(position(1, lsnOf(first.label.low) + 1n), null) // asks for more than the cell can show
  await product.get({ id: 1 }, { session }).catch(() => undefined)
  expect((await cell()).loadedAt).toBeGreaterThan(first.loadedAt!)
  expect(new Set(events.named('refill').map((e) => e.outcome))).toEqual(new Set(['stored']))
})

test('a value whose label begins earlier than the live one’s is handed over and not stored', async () => {
  await using shop = await ShopContext.open({ maxStalenessMs: 30_000 })
  await shop.trust()
  await shop.setPrice(2, 2499) // beyond the watermark, and a replica's label begins there
  await shop.replicaCaughtUp()
  const product = (await shop.open()).cache('product', { load })
  const { label } = await product.read({ id: 1 })
  const view = (await shop.guard().view())!
  await shop.redis.set(`${shop.source.keyPrefix}.view:{0}`, JSON.stringify({ ...view, beat: view.beat - 60_000 }))
  using events = new RefillEvents()
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'primary', freshness: 'fresh' })
  expect(events.named('refill')).toMatchObject([{ outcome: 'older' }])
  expect((await shop.guard().look(shop.key(1))).cell?.label).toEqual(label)
})

test('a value that another serializer wrote is loaded anew', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using events = new RefillEvents()
  const packed = {
    id: 16,
    encode: () => Buffer.from([0xc1]),
    decode: () => ({ id: 1, cents: 0 }),
  }
  const options = { replicas: [] }
  await (await shop.open({ ...options, serializer: packed })).cache('product', { load }).get({ id: 1 })
  const product = (await shop.open(options)).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, from: 'primary' })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, from: 'redis' })
  expect(events.named('redisFailed')).toMatchObject([{ error: { code: 'CELL_MALFORMED' } }])
})

test.each(['', 'half a cell', `1L${'0'.repeat(30)}`])('a cell that is no cell (%j) is written anew', async (text) => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await shop.redis.set(`${shop.source.keyPrefix}:{0}:${shop.key(1)}`, text)
  const product = (await shop.open()).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, freshness: 'fresh' })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, from: 'redis' })
})

test('I3 a view that is no view serves and stores nothing', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open()).cache('product', { load })
  await product.get({ id: 1 })
  await shop.redis.set(`${shop.source.keyPrefix}.view:{0}`, '{"format":1}')
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'primary', position: null })
  expect(await product.read({ id: 2 })).toMatchObject({ from: 'primary', position: null })
  expect(await shop.redis.exists(`${shop.source.keyPrefix}:{0}:${shop.key(2)}`)).toBe(0)
})

test('I3 a view that comes between the look and the lease is looked at', async () => {
  await using shop = await ShopContext.open()
  const { redis } = shop
  let came: Promise<unknown> | undefined
  const late = {
    evalsha: redis.evalsha.bind(redis),
    eval: redis.eval.bind(redis),
    mgetBuffer: async (...keys: string[]) => {
      const seen = await redis.mgetBuffer(...keys)
      came ??= shop.trust()
      await came
      return seen
    },
  } as RedisClient
  const timings = { redisTimeoutMs: 20_000 }
  const product = (await shop.open({ redis: late, replicas: [], timings })).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ freshness: 'fresh', position: expect.any(String) })
})

test('I3 while a gap is open nothing in Redis is served or stored', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open()).cache('product', { load })
  await product.get({ id: 1 })
  const view = (await shop.guard().view())!
  await shop.guard().declareGap(99n, 'the log lost records', BigInt(`0x${view.offset}`), 0)
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'primary', freshness: 'fresh', position: null })
})

test('I7 one floor makes the keyspace stale, and what is loaded after it is fresh', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open({ replicas: [] })).cache('product', { load })
  await product.get({ id: 1 })
  await shop.setPrice(2, 2499) // the log goes on, and what is behind the floor is less than all of it
  await shop.floor('product', await shop.here())
  using events = new RefillEvents()
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'primary', freshness: 'fresh' })
  expect(events.named('read')).toMatchObject([{ doubt: 'floor' }])
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'redis' })
})

test('I7 where nothing can be shown and the contract allows it, what was loaded is served and says that it is stale', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'serve-stale' })
  await shop.trust()
  await shop.primary.query('update tidemark.epoch set timeline = timeline + 1')
  await shop.replicaCaughtUp()
  using events = new RefillEvents()
  const product = (await shop.open()).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({
    value: { cents: 1999 },
    freshness: 'stale',
    doubt: 'unannounced',
    position: null,
    from: 'primary',
  })
  expect(events.named('refill')).toMatchObject([{ outcome: 'unlabelled' }])
})

test('I7 what was retained is not served where the contract says fail, though nobody can load or another is loading', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'fail', retainStaleMs: 60_000 })
  await shop.trust()
  const tidemark = await shop.open({ timings: { leaseWaitMs: 20 } })
  await tidemark.cache('product', { load }).get({ id: 1 })
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  const broken = tidemark.cache('product', { load: (db) => db.query('select 1/0') })
  await expect(broken.get({ id: 1 })).rejects.toMatchObject({ code: 'LOAD_FAILED' })
  await shop.guard().lease(shop.key(1), 'product', '0'.repeat(16), 60_000, null)
  expect(await tidemark.cache('product', { load }).get({ id: 1 })).toMatchObject({ cents: 2499 })
})

test('I2 a value loaded under a lease that another took over is not stored', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using events = new RefillEvents()
  const product = (await shop.open({ replicas: [] })).cache('product', {
    load: async (db, params) => {
      const row = await load(db, params)
      await shop.redis.del(`${shop.source.keyPrefix}:{0}:${shop.key(1)}`)
      await shop.guard().lease(shop.key(1), 'product', 'f'.repeat(16), 60_000, null)
      return row
    },
  })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, freshness: 'fresh' })
  expect(events.named('refill')).toMatchObject([{ outcome: 'lease-lost' }])
})

test('a key is required to be as new as its own past, not as its partition’s', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await shop.invalidate(2, version(1, FAR))
  const product = (await shop.open()).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'eu-1', freshness: 'fresh' })
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'redis' })
})
