import { expect, test } from '@jest/globals'
import pg from 'pg'
import type { TidemarkOptions } from './options.ts'
import type { ReadOptions } from './read/inquiry.ts'
import type { Connection } from './sources/database.ts'
import { PRODUCT, type Product, ShopContext } from './testing/shop-context.ts'

// What is got wrong first: it works, or says what is wrong, and in no case waits for ever.

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])

/** An app whose pool has one connection. */
async function narrow(shop: ShopContext, options: Partial<TidemarkOptions<{ product: 'product:{id}' }>> = {}) {
  const primary = new pg.Pool({ ...shop.primary.options, max: 1 })
  primary.on('error', () => undefined) // its database is dropped under it, at the end
  const tidemark = await shop.open({ primary, replicas: [], ...options })
  return { tidemark, [Symbol.asyncDispose]: () => primary.end() }
}

test('one connection is enough for reads, sessions and snapshots, one after the other', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await using app = await narrow(shop)
  const product = app.tidemark.cache('product', { load })
  await Promise.all(Array.from({ length: 20 }, (_, i) => product.get({ id: i + 1 })))
  const session = app.tidemark.session()
  await session.write((db) => db.query('update product set cents = 2499 where id = 1'))
  expect(await product.read({ id: 1 }, { session })).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh' })
  await shop.beat()
  expect((await app.tidemark.snapshot([product.at({ id: 30 }), product.at({ id: 31 })])).values).toHaveLength(2)
})

test('a read within a write that holds the pool’s last connection fails in its time, and the write may go on', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await using app = await narrow(shop, { timings: { loadMs: 200 } })
  const product = app.tidemark.cache('product', { load })
  await app.tidemark.session().write(async (db) => {
    await db.query('update product set cents = 2499 where id = 1')
    await expect(product.get({ id: 1 })).rejects.toMatchObject({ code: 'LOAD_FAILED' })
  })
  expect(await load(shop.primary, { id: 1 })).toMatchObject({ cents: 2499 })
})

test('a read within a write does not see what is not committed, and caches nothing of it', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const tidemark = await shop.open()
  const product = tidemark.cache('product', { load })
  await tidemark.session().write(async (db) => {
    await db.query('update product set cents = 2499 where id = 1')
    expect(await product.get({ id: 1 })).toMatchObject({ cents: 1999 })
  })
})

test('a load that writes is refused by the server, on the primary too', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open({ replicas: [] })).cache('product', {
    load: (db, { id }) => db.query('update product set cents = 1 where id = $1', [id]),
  })
  await expect(product.get({ id: 1 })).rejects.toMatchObject({ code: 'LOAD_FAILED', cause: { code: '25006' } })
})

test('a load that ends the transaction it is given is labelled all the same, and its connection comes back whole', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open()).cache('product', {
    load: async (db, params) => {
      await db.query('commit')
      await db.query('begin')
      return load(db, params)
    },
  })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, freshness: 'fresh' })
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'redis' })
  expect(shop.replica.idleCount).toBe(shop.replica.totalCount)
})

test.each<[object, RegExp]>([
  [{ consistancy: 'strong' }, /consistancy is no option of a read/],
  [{ consistency: 'Strong' }, /consistency of a read is one of strong, contract, any/],
  [{ whenUnprovable: 'stale' }, /whenUnprovable of a read is one of serve-stale, fail, route/],
  [{ maxStalenessMs: Number.NaN }, /maxStalenessMs/],
])('a read that is asked for what there is not is refused: %j', async (options, message) => {
  await using shop = await ShopContext.open()
  const product = (await shop.open()).cache('product', { load })
  await expect(product.get({ id: 1 }, options as ReadOptions)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  await expect(product.get({ id: 1 }, options as ReadOptions)).rejects.toThrow(message)
})

test('a cache without a load is refused when it is made, not when it is read', async () => {
  await using shop = await ShopContext.open()
  const tidemark = await shop.open()
  const misspelt = { laod: load, loadMany: true } as unknown as { load: typeof load }
  expect(() => tidemark.cache('product', misspelt)).toThrow(/CONFIG_INVALID.*product.*: load, loadMany/)
})
