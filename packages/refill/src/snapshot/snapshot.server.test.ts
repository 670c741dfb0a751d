import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { defineSource, lsnOf, position } from '@tidemark/protocol'
import type { Connection } from '../sources/database.ts'
import { whileBeating } from '../testing/beating-shop.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'
import { openTidemark } from '../tidemark.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])

async function openShop(shop: ShopContext, timings: { watermarkWaitMs?: number } = {}) {
  await shop.trust()
  const tidemark = await shop.open({ timings })
  const product = tidemark.cache('product', { load })
  return { tidemark, product, both: () => [product.at({ id: 1 }), product.at({ id: 2 })] }
}

test('strong asks the primary for all of them in one transaction, whatever is there, and caches nothing', async () => {
  await using shop = await ShopContext.open()
  const { tidemark, product, both } = await openShop(shop)
  await product.getMany([{ id: 1 }, { id: 2 }])
  await shop.beat()
  expect(await tidemark.snapshot(both(), { consistency: 'contract' })).toMatchObject({ from: 'redis', loaded: 0 })
  await shop.setPrice(1, 2499) // nobody has told of it yet
  using events = new RefillEvents()
  const strong = await tidemark.snapshot(both(), { consistency: 'strong' })
  expect(strong).toMatchObject({ from: 'primary', loaded: 2, freshness: 'fresh', values: [{ cents: 2499 }, {}] })
  await tidemark.snapshot([product.at({ id: 3 })], { consistency: 'strong' })
  expect(events.named('refill')).toEqual([])
  expect(await product.get({ id: 1 })).toMatchObject({ cents: 1999 })
})

test('a keyspace that caches nothing is loaded, and what another holds is kept beside it', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const { keyPrefix, partitions } = shop.source
  const of = (name: string, contract: object) => ({ key: `${name}:{id}` as const, tables: {}, contract })
  const keyspaces = { product: of('product', {}), price: of('price', { reaction: 'bypass' }) }
  const source = defineSource({ name: 'shop', partitions, keyPrefix, keyspaces })
  const { redis, primary } = shop
  const tidemark = await openTidemark({ source, redis, primary, timings: { watermarkWaitMs: 20_000 } })
  const product = tidemark.cache('product', { load })
  const price = tidemark.cache('price', { load: async (db, { id }) => (await load(db, { id }))?.cents })
  await product.get({ id: 1 })
  await shop.beat()
  const snapshot = await whileBeating(shop, tidemark.snapshot([product.at({ id: 1 }), price.at({ id: 1 })]))
  expect(snapshot).toMatchObject({ from: 'primary', loaded: 1, values: [{ cents: 1999 }, 1999] })
})

test('what a snapshot cannot honour is refused, by type and when it is called', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'route' })
  const asked: unknown[] = []
  const route = { name: 'eu', ask: async (request: unknown) => void asked.push(request) as never }
  const tidemark = await shop.open({ route })
  const failing = tidemark.cache('product', { load: () => Promise.reject(new Error('mine')) })
  const references = [failing.at({ id: 1 })]
  const invalid = expect.objectContaining({ code: 'CONFIG_INVALID' })
  // @ts-expect-error what is there of several keys is of no one instant
  await expect(tidemark.snapshot(references, { consistency: 'any' })).rejects.toEqual(invalid)
  // @ts-expect-error another region's answers key by key are of no one instant
  await expect(tidemark.snapshot(references, { whenUnprovable: 'route' })).rejects.toEqual(invalid)
  await expect(tidemark.snapshot(references, { maxStalenessMs: 0 })).rejects.toEqual(invalid)
  await expect((await shop.open()).snapshot(references)).rejects.toEqual(invalid)
  await expect(tidemark.snapshot([])).rejects.toThrow('KEY_PARAMS_INVALID')
  await expect(tidemark.snapshot(references)).rejects.toThrow('LOAD_FAILED')
  expect(asked).toEqual([])
})

test('what a snapshot hands over moves the session, be it loaded, from Redis, or stale', async () => {
  await using shop = await ShopContext.open()
  const { tidemark, both } = await openShop(shop)
  const seenBy = async (options: object) => {
    const session = tidemark.session()
    const { position, doubt } = await tidemark.snapshot(both(), { session, ...options })
    return { seen: (await session.demand())!.seen, position: position!, doubt }
  }
  const loaded = await seenBy({})
  expect(loaded.seen).toBe(loaded.position.high)
  await shop.beat()
  const hit = await seenBy({})
  expect([hit.seen, hit.position.low]).toEqual([loaded.seen, loaded.seen])
  const stale = await seenBy({ maxStalenessMs: 1, whenUnprovable: 'serve-stale' })
  expect(stale.seen >= hit.seen).toBe(true)
})

test.each([
  ['from the primary alone', 'strong', false, 1],
  ['and has it from Redis then', 'contract', false, 1],
  ['and once more where another has the lease', 'contract', true, 2],
] as const)(
  'a session that saw more than the primary is known to show waits for the watermark, and loads once, %s',
  async (_, consistency, isLeased, times) => {
    await using shop = await ShopContext.open()
    await shop.trust()
    if (isLeased) await shop.guard().lease(shop.key(1), 'product', '0'.repeat(16), 60_000, null)
    const tidemark = await shop.open({ replicas: [], timings: { watermarkWaitMs: 20_000, leaseWaitMs: 10 } })
    let loads = 0
    const product = tidemark.cache('product', {
      load: (db, params) => {
        loads++
        return load(db, params)
      },
    })
    const session = tidemark.session()
    session.saw(position(1, lsnOf(await shop.here()) + 8n), null)
    const taking = tidemark.snapshot([product.at({ id: 1 })], { session, consistency })
    const startedAt = performance.now()
    await waitUntil('twenty loads’ time is over', () => performance.now() - startedAt > 150, { timeoutMs: 20_000 })
    await shop.primary.query('update product set cents = cents where id = 3')
    expect(await whileBeating(shop, taking)).toMatchObject({ freshness: 'fresh', values: [{ id: 1 }] })
    expect(loads).toBe(times)
  },
)
