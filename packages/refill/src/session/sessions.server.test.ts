import { expect, test } from '@jest/globals'
import { after, lsnOf, position, satisfies, version } from '@tidemark/protocol'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
const setPrice = (db: Connection) => db.query('update product set cents = 2499 where id = 1')
const tokenKeys = [{ id: 1, secret: 'a secret that has thirty-two bytes' }]
const FAR = position(1, 1n << 60n)

test('a write on what turns out to be a standby is refused by it, and the session does not move', async () => {
  await using shop = await ShopContext.open()
  const session = (await shop.open({ primary: shop.replica, replicas: [] })).session()
  await expect(session.write(setPrice)).rejects.toMatchObject({ code: '25006' })
  expect(await session.demand()).toBeNull()
})

test('a transaction that only read on a standby leaves the session to the primary alone: its position says nothing', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const session = (await shop.open({ primary: shop.replica, replicas: [] })).session()
  await session.write((db) => db.query('select 1'))
  const product = (await shop.open()).cache('product', { load })
  expect(await product.read({ id: 1 }, { session })).toMatchObject({ from: 'primary', freshness: 'fresh' })
})

test('a read whose primary turns out to be a standby is not called fresh', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open({ primary: shop.replica, replicas: [] })).cache('product', { load })
  await expect(product.get({ id: 1 })).rejects.toThrow(/UNPROVABLE.*unannounced/)
  expect((await shop.guard().look(shop.key(1))).cell).toBeNull()
})

test('the position of a write covers its commit, and not much more', async () => {
  await using shop = await ShopContext.open()
  const session = (await shop.open()).session()
  const before = await shop.here()
  await session.write(setPrice)
  const { own } = (await session.demand())!
  expect(own > before).toBe(true)
  expect(own <= (await shop.here())).toBe(true)
})

test('a write whose failed statement was swallowed says that nothing was written', async () => {
  await using shop = await ShopContext.open()
  const session = (await shop.open()).session()
  const write = session.write(async (db) => {
    await setPrice(db)
    await db.query('select 1/0').catch(() => undefined)
  })
  await expect(write).rejects.toThrow('nothing was written')
  expect(await session.demand()).toBeNull()
  expect((await shop.primary.query(PRODUCT, [1])).rows[0].cents).toBe(1999)
})

test('a write that a deferred constraint refuses at COMMIT leaves the session where it was', async () => {
  await using shop = await ShopContext.open()
  await shop.primary.query('alter table product add constraint unique_name unique (name) deferrable initially deferred')
  const session = (await shop.open()).session()
  const write = session.write((db) => db.query(`update product set name = 'product 2' where id = 1`))
  await expect(write).rejects.toMatchObject({ code: '23505' })
  expect(await session.demand()).toBeNull()
})

test('a hit carries the system’s identifier into the token', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const tidemark = await shop.open({ tokenKeys })
  const product = tidemark.cache('product', { load })
  await product.get({ id: 1 })
  const session = tidemark.session()
  expect(await product.read({ id: 1 }, { session })).toMatchObject({ from: 'redis' })
  const [{ system }] = (await shop.primary.query('select system_identifier::text as system from pg_control_system()'))
    .rows
  expect(Buffer.from(session.token(), 'base64url').readBigUInt64BE(6).toString()).toBe(system)
})

test('what a session was handed may be as new as the label’s end: by a replica, by the primary, from Redis', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  // So that a label ends later than it begins.
  const whileWritten = async (db: Connection, params: { id: unknown }) => {
    const row = await load(db, params)
    await shop.setPrice(3, 2499)
    await shop.replicaCaughtUp()
    return row
  }
  const near = (await shop.open()).cache('product', { load: whileWritten })
  const far = (await shop.open({ replicas: [] })).cache('product', { load: whileWritten })
  for (const [cache, id, from] of [
    [near, 1, 'eu-1'],
    [near, 1, 'redis'],
    [far, 2, 'primary'],
  ] as const) {
    const session = (await shop.open()).session()
    const reading = await cache.read({ id }, { session })
    expect([reading.from, (await session.demand())?.seen]).toEqual([from, reading.label!.high])
    expect(reading.label!.high > reading.label!.low).toBe(true)
  }
})

test('what a session was handed by a server not announced yet, or without a label, it will not read behind', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'serve-stale' })
  const product = (await shop.open({ replicas: [] })).cache('product', { load })
  const session = (await shop.open()).session()
  const before = await shop.here()
  expect(await product.read({ id: 1 }, { session })).toMatchObject({ freshness: 'fresh', label: null })
  expect((await session.demand())!.seen >= before).toBe(true)
  await shop.primary.query('update tidemark.epoch set timeline = timeline + 1')
  expect(await product.read({ id: 1 }, { session })).toMatchObject({ freshness: 'stale', doubt: 'unannounced' })
  expect((await session.demand())!.seen.slice(0, 8)).toBe('00000002')
})

test('what a session was handed as stale is not followed by something older (monotonic reads)', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'serve-stale', retainStaleMs: 60_000 })
  await shop.trust()
  const tidemark = await shop.open()
  const { label } = await tidemark.cache('product', { load }).read({ id: 1 })
  await shop.invalidate(1, version(1, lsnOf(label!.high)))
  const session = tidemark.session()
  const broken = tidemark.cache('product', { load: (db) => db.query('select 1/0') })
  expect(await broken.read({ id: 1 }, { session })).toMatchObject({ freshness: 'stale', from: 'redis' })
  expect((await session.demand())!.seen).toBe(label!.high)
})

test('a read that threw does not move the session: it was handed nothing', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const tidemark = await shop.open({ replicas: [], timings: { watermarkWaitMs: 20 } })
  const session = tidemark.session()
  session.saw(FAR, null)
  await expect(tidemark.cache('product', { load }).get({ id: 1 }, { session })).rejects.toThrow(/behind-session/)
  expect((await session.demand())!.seen).toBe(FAR)
})

test('a hit that is a beat behind the session is waited for, not loaded anew', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using events = new RefillEvents()
  const tidemark = await shop.open({ timings: { watermarkWaitMs: 30_000 } })
  const product = tidemark.cache('product', { load })
  await product.get({ id: 1 })
  const session = tidemark.session()
  session.saw(FAR, null)
  const reading = product.read({ id: 1 }, { session })
  for (let looks = 0; looks < 20; looks++) await shop.redis.ping()
  await shop.beat(FAR)
  expect(await reading).toMatchObject({ from: 'redis', freshness: 'fresh', position: FAR })
  expect(events.named('refill')).toHaveLength(1)
})

test('while another loads, a retained value is served at once, but not to a session that asks for more', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'serve-stale', retainStaleMs: 60_000 })
  await shop.trust()
  const tidemark = await shop.open({ timings: { leaseWaitMs: 50 } })
  const product = tidemark.cache('product', { load })
  const session = tidemark.session()
  await product.get({ id: 1 })
  await session.write(setPrice)
  await shop.invalidate(1, await shop.setPrice(1, 2599))
  await shop.guard().lease(shop.key(1), 'product', '0'.repeat(16), 60_000, null)
  using events = new RefillEvents()
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'redis', freshness: 'stale', doubt: 'retained' })
  expect(events.named('leaseWait')).toEqual([])
  expect(await product.read({ id: 1 }, { session })).toMatchObject({ from: 'primary', value: { cents: 2599 } })
})

test('what cannot be cached is not loaded over and over while a session waits for the watermark', async () => {
  await using shop = await ShopContext.open({ negativeTtlMs: 0 })
  await shop.trust()
  let loads = 0
  const product = (await shop.open({ replicas: [], timings: { watermarkWaitMs: 20_000 } })).cache('product', {
    load: async (db, params) => {
      loads++
      return load(db, params)
    },
  })
  using events = new RefillEvents()
  const session = (await shop.open()).session()
  session.saw(FAR, null)
  const reading = product.read({ id: 4711 }, { session })
  while (events.named('refill').length === 0) await shop.redis.ping()
  for (let looks = 0; looks < 50; looks++) await shop.redis.ping()
  await shop.beat(after(version(1, lsnOf(FAR))))
  const { value, position: reached } = await reading
  expect([value, satisfies(reached!, FAR)]).toEqual([undefined, true])
  expect(loads).toBe(2)
})

test('a session that follows a token of a lost system starts anew', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const elsewhere = await shop.open({ tokenKeys })
  const session = elsewhere.session()
  session.saw(FAR, '4711')
  const epoch2 = `insert into tidemark.epoch select source, 2, system_identifier, timeline, start_lsn, slot from tidemark.epoch`
  await shop.primary.query(epoch2)
  const tidemark = await shop.open({ tokenKeys, replicas: [] })
  const arrived = tidemark.session(session.token())
  expect(await arrived.demand()).toBeNull()
})
