import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { defineSource } from '@tidemark/protocol'
import { whileBeating } from '../testing/beating-shop.ts'
import { failing } from '../testing/failing-load.ts'
import { type Product, ShopContext } from '../testing/shop-context.ts'
import { openTidemark } from '../tidemark.ts'

/** Every cell is too old for this: the skew of the clocks alone is more. */
const STRICT = { maxStalenessMs: 1 }
const FORGIVING = { ...STRICT, whenUnprovable: 'serve-stale' } as const

/** Two products in Redis, exact where the watermark is, and a load that fails from now on. */
async function stocked(shop: ShopContext) {
  await shop.trust()
  const tidemark = await shop.open()
  const loading = failing()
  const product = tidemark.cache('product', loading)
  await product.getMany([{ id: 1 }, { id: 2 }])
  const watermark = await shop.beat()
  loading.fails = true
  return { tidemark, loading, product, watermark, both: () => [product.at({ id: 1 }), product.at({ id: 2 })] }
}

test('cells that are too old and share a point are served as stale when their load fails, where the call or contract says so', async () => {
  await using shop = await ShopContext.open()
  const { tidemark, loading, both, watermark } = await stocked(shop)
  await expect(tidemark.snapshot(both(), STRICT)).rejects.toThrow('LOAD_FAILED')
  const stale = await tidemark.snapshot(both(), FORGIVING)
  expect(stale).toMatchObject({ freshness: 'stale', doubt: 'too-old', from: 'redis', loaded: 0 })
  expect(stale.values).toMatchObject([{ id: 1 }, { id: 2 }])
  expect(stale.position!.high).toBe(watermark)
  expect(stale.position!.low <= watermark).toBe(true)
  loading.fails = false
  expect(await tidemark.snapshot(both(), FORGIVING)).toMatchObject({ from: 'primary', loaded: 2 })
})

test('what was invalidated is of no instant: nothing is served with it, whatever the contract says', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'serve-stale', retainStaleMs: 60_000 })
  const { tidemark, both, product } = await stocked(shop)
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  await shop.beat()
  expect(await product.read({ id: 1 })).toMatchObject({ freshness: 'stale', doubt: 'retained' })
  await expect(tidemark.snapshot(both())).rejects.toThrow('LOAD_FAILED')
})

test('cells that share no point are not served together, and are when the watermark has come', async () => {
  await using shop = await ShopContext.open()
  const { tidemark, loading, both, product } = await stocked(shop)
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  loading.fails = false
  await product.get({ id: 1 })
  loading.fails = true
  await expect(tidemark.snapshot(both(), FORGIVING)).rejects.toThrow('LOAD_FAILED')
  await shop.beat()
  const stale = await tidemark.snapshot(both(), FORGIVING)
  expect(stale).toMatchObject({ freshness: 'stale', values: [{ cents: 2499 }, { cents: 1999 }] })
})

test('a session that wrote more than the cells hold is not served them', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'serve-stale' })
  const { tidemark, both } = await stocked(shop)
  const session = tidemark.session()
  const stale = await tidemark.snapshot(both(), { session, ...STRICT })
  expect([stale.doubt, (await session.demand())!.seen]).toEqual(['too-old', stale.position!.low])
  await session.write((db) => db.query('update product set cents = 1 where id = 2'))
  await expect(tidemark.snapshot(both(), { session, ...STRICT })).rejects.toThrow('LOAD_FAILED')
})

test('when the call’s time is over before a load has come, the same holds', async () => {
  await using shop = await ShopContext.open()
  await stocked(shop)
  const hurried = await shop.open({ timings: { readMs: 200 } })
  const hanging = hurried.cache('product', { load: () => new Promise<Product>(() => undefined) })
  const both = [hanging.at({ id: 1 }), hanging.at({ id: 2 })] as const
  expect(await hurried.snapshot(both, FORGIVING)).toMatchObject({ freshness: 'stale', doubt: 'too-old' })
  await expect(hurried.snapshot(both, STRICT)).rejects.toThrow(/UNPROVABLE.*out-of-time/)
})

test('a value whose time is over is loaded anew beside those that are fresh, and stands in when that fails', async () => {
  await using shop = await ShopContext.open()
  await shop.primary.query('create table customer (id integer primary key, name text not null)')
  await shop.primary.query("insert into customer values (1, 'Ada')")
  await shop.trust()
  const { keyPrefix, partitions } = shop.source
  const of = (table: string, contract: object) => ({ key: `${table}:{id}` as const, tables: {}, contract })
  const keyspaces = {
    product: of('product', { ttlMs: 50, staleIfErrorMs: 60_000, earlyRefresh: 0, maxStalenessMs: 60_000 }),
    customer: of('customer', { maxStalenessMs: 60_000 }),
  }
  const source = defineSource({ name: 'shop', partitions, keyPrefix, keyspaces })
  const { redis, primary } = shop
  const tidemark = await openTidemark({ source, redis, primary, timings: { watermarkWaitMs: 5_000 } })
  const loading = failing()
  const product = tidemark.cache('product', loading)
  const customer = tidemark.cache('customer', {
    load: (db) => db.query<{ name: string }>('select name from customer').then(({ rows }) => rows[0]),
  })
  const both = [product.at({ id: 1 }), customer.at({ id: 1 })] as const
  await tidemark.snapshot(both)
  await shop.beat()
  loading.fails = true
  const expired = async () => (await tidemark.snapshot(both)).doubt === 'expired'
  await waitUntil('its time is over', expired, { timeoutMs: 20_000 })
  const stale = { freshness: 'stale', doubt: 'expired', loaded: 0, values: [{ id: 1 }, { name: 'Ada' }] }
  expect(await tidemark.snapshot(both)).toMatchObject(stale)
  loading.fails = false
  expect(await whileBeating(shop, tidemark.snapshot(both))).toMatchObject({ freshness: 'fresh', loaded: 1 })
})
