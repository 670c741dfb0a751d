import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { covers, lsnOf, version } from '@tidemark/protocol'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
const REASON = new Error('the request is gone')

/** A load that waits until it is let go, at the latest when the test ends; what it was told by its signal is kept. */
function held() {
  const { promise, resolve: letGo } = Promise.withResolvers<void>()
  const counted = { begun: 0, letGo, aborted: null as unknown, load, [Symbol.dispose]: letGo }
  counted.load = async (db, params, context?: { signal: AbortSignal }) => {
    counted.begun++
    context?.signal.addEventListener('abort', () => {
      counted.aborted ??= context.signal.reason
    })
    await promise
    return load(db, params)
  }
  return counted
}

const begun = (loading: { begun: number }) =>
  waitUntil('the load has begun', () => loading.begun > 0, { timeoutMs: 20_000 })

test('readers of one process wait for one flight, and ask Redis for one lease', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using events = new RefillEvents()
  using loading = held()
  const product = (await shop.open()).cache('product', loading)
  const readers = Array.from({ length: 50 }, () => product.get({ id: 1 }))
  await begun(loading)
  loading.letGo()
  expect(await Promise.all(readers)).toHaveLength(50)
  expect([loading.begun, events.named('leaseWait').length]).toEqual([1, 0])
})

test('one reader who goes does not end the load of the others; when all have gone it is ended', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using loading = held()
  const product = (await shop.open()).cache('product', loading)
  const [first, second] = [new AbortController(), new AbortController()]
  const leader = product.get({ id: 1 }, { signal: first.signal })
  await begun(loading)
  const joined = product.get({ id: 1 }, { signal: second.signal })
  const patient = product.get({ id: 1 })
  for (let looks = 0; looks < 3; looks++) await shop.redis.ping() // on their connection: then both have looked, and wait
  first.abort(REASON)
  await expect(leader).rejects.toBe(REASON)
  second.abort(REASON)
  await expect(joined).rejects.toBe(REASON)
  expect(loading.aborted).toBeNull()
  loading.letGo()
  expect(await patient).toMatchObject({ id: 1 })

  using lonely = held()
  const another = (await shop.open()).cache('product', lonely)
  const gone = new AbortController()
  const reading = another.get({ id: 2 }, { signal: gone.signal })
  await begun(lonely)
  gone.abort(REASON)
  await expect(reading).rejects.toBe(REASON)
  await waitUntil('the load was told', () => lonely.aborted !== null, { timeoutMs: 20_000 })
  await waitUntil(
    'the lease is back',
    async () => (await shop.redis.exists(`${shop.source.keyPrefix}:{0}:${shop.key(2)}`)) === 0,
    {
      timeoutMs: 20_000,
    },
  )
  lonely.letGo()
})

test('a signal that is aborted already ends a call before anything is asked', async () => {
  await using shop = await ShopContext.open()
  using loading = held()
  const product = (await shop.open()).cache('product', loading)
  await expect(product.get({ id: 1 }, { signal: AbortSignal.abort(REASON) })).rejects.toBe(REASON)
  expect(loading.begun).toBe(0)
})

test('a lease is prolonged while its holder loads: nobody else does', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using events = new RefillEvents()
  using loading = held()
  const timings = { leaseMs: 500 }
  const [here, there] = await Promise.all([shop.open({ timings }), shop.open({ timings })])
  const holder = here.cache('product', loading).get({ id: 1 })
  await begun(loading)
  const startedAt = performance.now()
  const waiter = there.cache('product', loading).get({ id: 1 })
  await waitUntil('three leases’ time is over', () => performance.now() - startedAt > 1_500, { timeoutMs: 20_000 })
  expect(loading.begun).toBe(1)
  loading.letGo()
  expect(await Promise.all([holder, waiter])).toMatchObject([{ id: 1 }, { id: 1 }])
  expect([loading.begun, events.named('leaseWait').length]).toEqual([1, 1])
})

test('readers who wait for a holder that died become one load, and it is cached', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using events = new RefillEvents()
  await shop.guard().lease(shop.key(1), 'product', '0'.repeat(16), 300, null)
  using loading = held()
  loading.letGo()
  const tidemarks = await Promise.all([shop.open(), shop.open()])
  const caches = tidemarks.map((tidemark) => tidemark.cache('product', loading))
  await Promise.all(Array.from({ length: 40 }, (_, i) => caches[i % 2]!.get({ id: 1 })))
  expect(loading.begun).toBe(1)
  expect(events.named('refill')).toMatchObject([{ outcome: 'stored' }])
})

test('a load that hangs has failed when its time is over, for all who waited', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using loading = held()
  const product = (await shop.open({ timings: { loadMs: 100 } })).cache('product', loading)
  const readers = await Promise.allSettled([product.get({ id: 1 }), product.get({ id: 1 })])
  expect(readers.map((r) => r.status === 'rejected' && r.reason)).toMatchObject([
    { code: 'LOAD_FAILED', cause: { code: 'DEADLINE_EXCEEDED' } },
    { code: 'LOAD_FAILED' },
  ])
  loading.letGo()
})

test('a call whose time is over is answered by its contract', async () => {
  await using shop = await ShopContext.open({ retainStaleMs: 60_000 })
  await shop.trust()
  const tidemark = await shop.open({ timings: { readMs: 200 } })
  await tidemark.cache('product', { load }).get({ id: 1 })
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  using loading = held()
  const product = tidemark.cache('product', loading)
  await expect(product.get({ id: 1 })).rejects.toThrow(/UNPROVABLE.*out-of-time/)
  const stale = await product.read({ id: 1 }, { whenUnprovable: 'serve-stale' })
  expect(stale).toMatchObject({ freshness: 'stale', value: { cents: 1999 } })
  loading.letGo()
})

test('without a view one load serves all who wait, and sessions that came meanwhile share the next one', async () => {
  await using shop = await ShopContext.open()
  using loading = held()
  const tidemark = await shop.open()
  const product = tidemark.cache('product', loading)
  const readers = Array.from({ length: 10 }, () => product.read({ id: 1 }))
  await begun(loading)
  const sessions = Array.from({ length: 10 }, () => tidemark.session())
  const own = sessions.map(async (session, i) => {
    await session.write((db) => db.query(`update product set cents = cents + ${10 ** i} where id = 1`))
    return product.read({ id: 1 }, { session })
  })
  const isWritten = async () =>
    (await shop.primary.query('select from product where cents >= 1111111111')).rows.length > 0
  await waitUntil('all have written', isWritten, { timeoutMs: 20_000 })
  expect(loading.begun).toBe(1)
  loading.letGo()
  for (const reading of await Promise.all(readers)) expect(reading).toMatchObject({ freshness: 'fresh', label: null })
  for (const [i, { value, freshness }] of (await Promise.all(own)).entries()) {
    expect(freshness).toBe('fresh')
    expect(Math.floor((value!.cents - 1_999) / 10 ** i) % 10).toBe(1) // what it wrote itself
  }
  expect(loading.begun).toBeLessThanOrEqual(3) // who looked last may have missed the second
})

test('I7 a flight is judged by what was known when it began: a session that joins one that missed its write reads it all the same', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const tidemark = await shop.open()
  const { promise: mayEnd, resolve: letGo } = Promise.withResolvers<void>()
  let read = 0
  const loadAndWait = async (db: Connection, params: { id: unknown }) => {
    const row = await load(db, params)
    if (read++ === 0) await mayEnd
    return row
  }
  const product = tidemark.cache('product', { load: loadAndWait })
  const first = product.read({ id: 1 })
  await waitUntil('the first load has read', () => read === 1, { timeoutMs: 20_000 })
  const session = tidemark.session()
  await session.write((db) => db.query('update product set cents = 2499 where id = 1'))
  const written = version(1, lsnOf(await shop.here()) - 1n)
  await shop.invalidate(1, written)
  await shop.beat()
  await session.demand() // what it asks the primary for once is known then
  const own = product.read({ id: 1 }, { session })
  for (let looks = 0; looks < 3; looks++) await shop.redis.ping() // on its connection: then it has looked, and waits
  letGo()
  const { value, position: reached } = await first
  expect(value).toMatchObject({ cents: 1999 })
  expect(covers(reached!, written)).toBe(false)
  expect(await own).toMatchObject({ freshness: 'fresh', value: { cents: 2499 } })
})
