import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'

const PATIENCE = { timeoutMs: 20_000 }
const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])

/** A load that reads, and then waits until it is let go. */
function held() {
  const { promise, resolve: letGo } = Promise.withResolvers<void>()
  const counted = { begun: 0, letGo, load }
  counted.load = async (db, params) => {
    counted.begun++
    const product = await load(db, params)
    await promise
    return product
  }
  return counted
}

/** A shop whose first product is cached, its soft time over. */
async function overdue(contract: object = {}) {
  const shop = await ShopContext.open({ softTtlMs: 1, ...contract })
  await shop.trust()
  await (await shop.open({ replicas: [] })).cache('product', { load }).get({ id: 1 })
  const storedBefore = Date.now()
  await waitUntil('its soft time is over', () => Date.now() > storedBefore + 1, PATIENCE)
  return shop
}

const HIT = { value: { cents: 1999 }, freshness: 'fresh', doubt: null, from: 'redis' }

test('beyond its soft time a value is served, while one load goes on behind all of its readers', async () => {
  await using shop = await overdue()
  using events = new RefillEvents()
  const loading = held()
  const caches = await Promise.all(
    [1, 2, 3].map(async () => (await shop.open({ replicas: [] })).cache('product', loading)),
  )
  for (let i = 0; i < 5; i++) for (const product of caches) expect(await product.read({ id: 1 })).toMatchObject(HIT)
  await waitUntil('the load has begun', () => loading.begun > 0, PATIENCE)
  for (const product of caches) expect(await product.read({ id: 1 })).toMatchObject(HIT)
  expect(loading.begun).toBe(1)
  loading.letGo()
  await waitUntil('it is stored', () => events.named('refill').some((e) => e.outcome === 'stored'), PATIENCE)
  expect(events.named('read').filter((e) => e.doubt !== null)).toEqual([])
  expect(events.named('leaseWait')).toEqual([])
})

test('a load that fails behind its reader leaves the value, and the next reader has it tried again', async () => {
  await using shop = await overdue()
  using events = new RefillEvents()
  const failing = async () => Promise.reject(new Error('no'))
  const product = (await shop.open({ replicas: [] })).cache('product', { load: failing })
  for (const failures of [1, 2]) {
    expect(await product.read({ id: 1 })).toMatchObject(HIT)
    await waitUntil('the load has failed', () => events.named('refreshFailed').length === failures, PATIENCE)
  }
  expect(await product.read({ id: 1 })).toMatchObject(HIT)
})

test('I2 what is loaded behind a reader is not stored once an invalidation has overtaken it', async () => {
  await using shop = await overdue({ softTtlMs: 1 })
  using events = new RefillEvents()
  const loading = held()
  const product = (await shop.open({ replicas: [] })).cache('product', loading)
  expect(await product.read({ id: 1 })).toMatchObject(HIT)
  await waitUntil('the load has begun', () => loading.begun > 0, PATIENCE)
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  loading.letGo()
  await waitUntil('it was offered', () => events.named('refill').length > 0, PATIENCE)
  expect(events.named('refill')).toMatchObject([{ outcome: 'stale' }])
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 2499 }, from: 'primary' })
})

const DEAR = 'select id, cents, pg_sleep(0.1)::text as took from product where id = $1'
const dear = (db: Connection, { id }: { id: unknown }) => db.query<Product>(DEAR, [id]).then((r) => r.rows[0])

/** What 24 readers in three apps met, of one key that is dear to load, until it had been loaded three times more. */
async function read(earlyRefresh: number) {
  await using shop = await ShopContext.open({ ttlMs: 1_500, earlyRefresh })
  await shop.trust()
  const apps = await Promise.all([1, 2, 3].map(() => shop.open({ replicas: [] })))
  const caches = apps.map((tidemark) => tidemark.cache('product', { load: dear }))
  await caches[0]!.get({ id: 1 })
  using events = new RefillEvents()
  const loads = () => events.named('refill').length
  const deadline = Date.now() + PATIENCE.timeoutMs
  while (loads() < 3 && Date.now() < deadline) {
    await Promise.all(caches.flatMap((product) => Array.from({ length: 8 }, () => product.read({ id: 1 }))))
    await turn()
  }
  const misses = events.named('read').filter((e) => e.doubt !== null).length
  return { loads: loads(), misses, waits: events.named('leaseWait').length, outcomes: events.named('refill') }
}

test('of many readers near the end of its time one loads it anew, and nobody misses', async () => {
  const { loads, misses, waits, outcomes } = await read(1)
  expect(loads).toBe(3)
  expect(outcomes.map((e) => e.outcome)).toEqual(['stored', 'stored', 'stored'])
  expect({ misses, waits }).toEqual({ misses: 0, waits: 0 })
})

test('without early refresh they all miss at once, and wait for one', async () => {
  const { misses, waits } = await read(0)
  expect(misses).toBeGreaterThan(8) // more than the readers of one app
  expect(waits).toBeGreaterThan(0)
})
