import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { lsnOf, version } from '@tidemark/protocol'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
const REFRESH = { reaction: 'refresh', whenUnprovable: 'serve-stale', retainStaleMs: 60_000 }
const STALE = { value: { cents: 1999 }, freshness: 'stale', doubt: 'retained', from: 'redis' }

/** A shop whose first product is cached, and was changed since. */
async function changed(contract: object = {}) {
  const shop = await ShopContext.open({ ...REFRESH, ...contract })
  await shop.trust()
  await (await shop.open()).cache('product', { load }).get({ id: 1 })
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  await shop.replicaCaughtUp()
  return shop
}

/** A load that waits until it is let go, and how often it was begun. */
function held() {
  const { promise, resolve: letGo } = Promise.withResolvers<void>()
  const counted = { begun: 0, letGo, load }
  counted.load = async (db, params) => {
    counted.begun++
    await promise
    return load(db, params)
  }
  return counted
}

const refilled = (events: RefillEvents, outcomes: readonly string[]) =>
  waitUntil('the refresh has ended', () => events.named('refill').length === outcomes.length, { timeoutMs: 20_000 })

test('what was changed is served as stale at once, and one load goes on behind all of its readers', async () => {
  await using shop = await changed()
  using events = new RefillEvents()
  const loading = held()
  const caches = await Promise.all([1, 2, 3].map(async () => (await shop.open()).cache('product', loading)))
  for (let i = 0; i < 5; i++) {
    for (const product of caches) expect(await product.read({ id: 1 })).toMatchObject(STALE)
  }
  await waitUntil('the load has begun', () => loading.begun > 0, { timeoutMs: 20_000 })
  for (const product of caches) expect(await product.read({ id: 1 })).toMatchObject(STALE)
  loading.letGo()
  await refilled(events, ['stored'])
  for (const product of caches) {
    expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh', from: 'redis' })
  }
  expect(loading.begun).toBe(1)
  expect(events.named('leaseWait')).toEqual([])
})

test('a keyspace under a floor is served as stale, too, and refreshed key by key', async () => {
  await using shop = await ShopContext.open(REFRESH)
  await shop.trust()
  const product = (await shop.open({ replicas: [] })).cache('product', { load })
  await product.get({ id: 1 })
  await shop.setPrice(1, 2499)
  await shop.floor('product', await shop.here())
  using events = new RefillEvents()
  expect(await product.read({ id: 1 })).toMatchObject({ ...STALE, doubt: 'floor' })
  await refilled(events, ['stored'])
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh', from: 'redis' })
})

test('a session that wrote, or saw more, waits for what is new; one that asks for no more does not', async () => {
  await using shop = await changed()
  const tidemark = await shop.open()
  const loading = held()
  const product = tidemark.cache('product', loading)
  const { label } = await product.read({ id: 1 })
  const [content, writer] = [tidemark.session(), tidemark.session()]
  content.saw(label!.low, null)
  expect(await product.read({ id: 1 }, { session: content })).toMatchObject(STALE)
  await writer.write((db) => db.query('update product set cents = 2500 where id = 2'))
  const written = product.read({ id: 1 }, { session: writer })
  await waitUntil('the load has begun', () => loading.begun > 0, { timeoutMs: 20_000 })
  loading.letGo()
  expect(await written).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh' })
})

test('what was never cached is loaded before it is served, and what is only old is, too', async () => {
  await using shop = await ShopContext.open({ ...REFRESH, maxStalenessMs: 30_000 })
  await shop.trust()
  const product = (await shop.open()).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ freshness: 'fresh', from: 'eu-1' })
  const view = (await shop.guard().view())!
  await shop.redis.set(`${shop.source.keyPrefix}.view:{0}`, JSON.stringify({ ...view, beat: view.beat - 60_000 }))
  expect(await product.read({ id: 1 })).toMatchObject({ freshness: 'fresh', from: 'primary' })
})

test('a refresh that fails is told, hurts no reader, and is tried again by the next', async () => {
  await using shop = await changed()
  using events = new RefillEvents()
  const tidemark = await shop.open({ replicas: [] })
  const broken = tidemark.cache('product', { load: (db) => db.query('select 1/0') })
  for (let failures = 1; failures <= 2; failures++) {
    expect(await broken.read({ id: 1 })).toMatchObject(STALE)
    await waitUntil('it was told', () => events.named('refreshFailed').length === failures, { timeoutMs: 20_000 })
  }
  expect(events.named('refreshFailed')).toMatchObject([{ error: { code: '22012' } }, { error: { code: '22012' } }])
  expect(events.named('readFailed')).toEqual([])
  const product = tidemark.cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject(STALE)
  await refilled(events, ['stored'])
  expect(await product.get({ id: 1 })).toMatchObject({ cents: 2499 })
})

test('no more go on at a time than may; what is put off is refreshed by a later reader', async () => {
  await using shop = await changed()
  const tidemark = await shop.open({ maxRefreshes: 1 })
  const loading = held()
  const product = tidemark.cache('product', loading)
  await tidemark.cache('product', { load }).get({ id: 2 })
  await shop.invalidate(2, await shop.setPrice(2, 2499))
  await shop.replicaCaughtUp()
  using events = new RefillEvents()
  await product.read({ id: 1 })
  expect(await product.read({ id: 2 })).toMatchObject(STALE)
  expect(events.named('refreshPutOff')).toHaveLength(1)
  loading.letGo()
  await refilled(events, ['stored'])
  expect(await product.read({ id: 2 })).toMatchObject(STALE)
  await refilled(events, ['stored', 'stored'])
  expect(await product.read({ id: 2 })).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh' })
})

test('I2 what a refresh loaded before a newer change is not stored', async () => {
  await using shop = await changed()
  using events = new RefillEvents()
  const loading = held()
  const product = (await shop.open({ replicas: [] })).cache('product', loading)
  await product.read({ id: 1 })
  await waitUntil('the load has begun', () => loading.begun > 0, { timeoutMs: 20_000 })
  await shop.invalidate(1, version(1, lsnOf(await shop.here()) + (1n << 40n)))
  loading.letGo()
  await refilled(events, ['stale'])
  expect(events.named('refill')).toMatchObject([{ outcome: 'stale' }])
  expect(await product.read({ id: 1 })).toMatchObject(STALE)
})
