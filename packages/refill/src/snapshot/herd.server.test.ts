import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { Redis } from 'ioredis'
import type { TidemarkOptions } from '../options.ts'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { type Product, ShopContext } from '../testing/shop-context.ts'

type Params = { readonly id: unknown }

const TEN = Array.from({ length: 10 }, (_, i) => ({ id: i + 1 }))
/** Long enough for a watermark that the test brings itself. */
const TIMINGS = { watermarkWaitMs: 30_000 }

/** Loads of many keys that wait until they are let go, and what they were asked for. */
function held() {
  const { promise, resolve: letGo } = Promise.withResolvers<void>()
  const asked: unknown[][] = []
  const signals: AbortSignal[] = []
  const loadMany = async (db: Connection, params: readonly Params[], { signal }: { signal: AbortSignal }) => {
    asked.push(params.map(({ id }) => id))
    signals.push(signal)
    await promise
    const { rows } = await db.query<Product>('select id, cents from product where id = any($1)', [asked.at(-1)])
    return params.map(({ id }) => rows.find((row) => row.id === id))
  }
  const load = async (db: Connection, params: Params, context: { signal: AbortSignal }) =>
    (await loadMany(db, [params], context))[0]
  return { asked, signals, letGo, options: { load, loadMany } }
}

type Loading = ReturnType<typeof held>

async function openWith(shop: ShopContext, { options }: Loading, given: Partial<TidemarkOptions<never>> = {}) {
  const tidemark = await shop.open({ timings: TIMINGS, ...given })
  const product = tidemark.cache('product', options)
  const take = (ids: readonly { id: number }[], signal?: AbortSignal) =>
    tidemark.snapshot(
      ids.map((one) => product.at(one)),
      signal ? { signal } : {},
    )
  return { tidemark, product, take }
}

const begun = ({ asked }: Loading, loads = 1) =>
  waitUntil('a load has begun', () => asked.length >= loads, { timeoutMs: 20_000 })

test('1,000 snapshots of ten cold keys in four instances become one load, in whatever order they name them', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const loading = held()
  const apps = await Promise.all(Array.from({ length: 4 }, () => openWith(shop, loading)))
  using events = new RefillEvents()
  const herd = Array.from({ length: 1_000 }, (_, i) => apps[i % 4]!.take(i % 3 === 0 ? TEN.toReversed() : TEN))
  await begun(loading)
  await waitUntil('the others wait', () => events.named('leaseWait').length === 3, { timeoutMs: 20_000 })
  loading.letGo()
  await waitUntil('it is stored', () => events.named('refill').length === 10, { timeoutMs: 20_000 })
  await shop.beat()
  const taken = await Promise.all(herd)
  expect(loading.asked).toHaveLength(1)
  for (const { freshness, values } of taken) expect([freshness, values.length]).toEqual(['fresh', 10])
  expect([taken[0], taken[1]].map((one) => one!.values[0]!.id)).toEqual([10, 1])
  expect(events.named('read')).toHaveLength(10_000)
}, 60_000)

test('without Redis the herd of one process is one load, too; who asks by other terms loads for himself', async () => {
  await using shop = await ShopContext.open()
  const loading = held()
  const unreachable = { enableOfflineQueue: false, lazyConnect: true, retryStrategy: () => null }
  const redis = new Redis('redis://127.0.0.1:1', unreachable)
  const { tidemark, product, take } = await openWith(shop, loading, { redis })
  const others = [
    { whenUnprovable: 'serve-stale' },
    { maxStalenessMs: 5_000 },
    { consistency: 'strong' },
    { session: tidemark.session() },
  ] as const
  const references = TEN.map((one) => product.at(one))
  const herd = [...Array(50).keys()].map(() => take(TEN))
  const alone = others.map((options) => tidemark.snapshot(references, options))
  await begun(loading, 1 + others.length)
  loading.letGo()
  for (const taken of await Promise.all([...herd, ...alone]))
    expect(taken).toMatchObject({ position: null, loaded: 10 })
  expect(loading.asked).toHaveLength(1 + others.length)
})

test('one who goes does not end the load of the others; when all have gone it is ended and its leases are given back', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const loading = held()
  const { take } = await openWith(shop, loading)
  const [first, second] = [new AbortController(), new AbortController()]
  const reason = new Error('the request is gone')
  const [leader, joined] = [take(TEN, first.signal), take(TEN, second.signal)]
  await begun(loading)
  first.abort(reason)
  await expect(leader).rejects.toBe(reason)
  expect(loading.signals[0]!.aborted).toBe(false)
  second.abort(reason)
  await expect(joined).rejects.toBe(reason)
  await waitUntil('the load was told', () => loading.signals[0]!.aborted, { timeoutMs: 20_000 })
  const cell = `${shop.source.keyPrefix}:{0}:${shop.key(1)}`
  await waitUntil('the lease is back', async () => (await shop.redis.exists(cell)) === 0, { timeoutMs: 20_000 })
  expect(loading.asked).toHaveLength(1)
  loading.letGo()
})

test('leases are prolonged while a snapshot loads: a reader of one of its keys waits for it', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const loading = held()
  const timings = { ...TIMINGS, leaseMs: 300 }
  const [here, there] = [await openWith(shop, loading, { timings }), await openWith(shop, loading, { timings })]
  const snapshot = here.take(TEN)
  await begun(loading)
  const startedAt = performance.now()
  const readers = [there.product.get({ id: 7 }), here.product.get({ id: 7 })]
  await waitUntil('three leases’ time is over', () => performance.now() - startedAt > 900, { timeoutMs: 20_000 })
  loading.letGo()
  expect(await Promise.all(readers)).toMatchObject([{ id: 7 }, { id: 7 }])
  expect(await snapshot).toMatchObject({ loaded: 10, freshness: 'fresh' })
  expect(loading.asked).toHaveLength(1)
})

test('what another loads besides the first key is loaded all the same, for a lease is waited for by who has none', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const [one, other] = [held(), held()]
  const [reader, taker] = [await openWith(shop, one), await openWith(shop, other)]
  const reading = reader.product.get({ id: 9 })
  await begun(one)
  other.letGo()
  using events = new RefillEvents()
  expect(await taker.take([{ id: 1 }, { id: 9 }])).toMatchObject({ loaded: 2, freshness: 'fresh' })
  expect(events.named('leaseWait')).toEqual([])
  one.letGo()
  expect(await reading).toMatchObject({ id: 9 })
})

test('a lease that is never given back is waited for as long as a read would, and no longer', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await shop.guard().lease(shop.key(1), 'product', '0'.repeat(16), 60_000, null)
  const loading = held()
  loading.letGo()
  const { take } = await openWith(shop, loading, { timings: { leaseWaitMs: 200 } })
  const startedAt = performance.now()
  expect(await take(TEN)).toMatchObject({ loaded: 10, freshness: 'fresh' })
  expect(performance.now() - startedAt).toBeGreaterThan(200)
})
