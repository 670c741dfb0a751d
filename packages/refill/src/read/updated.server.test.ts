import { expect, test } from '@jest/globals'
import { after } from '@tidemark/protocol'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
const UPDATE = { reaction: 'update' }
const PROJECTION = { id: { column: 'id', as: 'number' }, cents: { column: 'cents', as: 'number' } }

test('a value that its row’s change wrote is a hit, labelled by that change, for sessions too', async () => {
  await using shop = await ShopContext.open(UPDATE, {}, PROJECTION)
  await shop.trust()
  const tidemark = await shop.open()
  const product = tidemark.cache('product', { load })
  await product.get({ id: 1 })
  const session = tidemark.session()
  await session.write((db) => db.query('update product set cents = 2499 where id = 1'))
  const version = await shop.setPrice(1, 2500)
  await shop.update(1, version, { id: 1, cents: 2500 })
  await shop.beat()
  using events = new RefillEvents()
  const label = { low: after(version), high: after(version) }
  const hit = { value: { id: 1, cents: 2500 }, freshness: 'fresh', from: 'redis', label }
  expect(await product.read({ id: 1 })).toMatchObject(hit)
  expect(await product.read({ id: 1 }, { session })).toMatchObject(hit)
  expect(events.named('refill')).toEqual([])
})

test('a row that comes to be overwrites that there was none', async () => {
  await using shop = await ShopContext.open(UPDATE, {}, PROJECTION)
  await shop.trust()
  const product = (await shop.open()).cache('product', { load })
  expect(await product.get({ id: 4711 })).toBeUndefined()
  await shop.primary.query("insert into product values (4711, 'new', 5)")
  await shop.update(4711, await shop.setPrice(4711, 5), { id: 4711, cents: 5 })
  expect(await product.read({ id: 4711 })).toMatchObject({ value: { id: 4711, cents: 5 }, from: 'redis' })
})

test('a load that returns what the projection would not is handed over and not cached; that is told once', async () => {
  await using shop = await ShopContext.open(UPDATE, {}, PROJECTION)
  await shop.trust()
  using events = new RefillEvents()
  const named = (await shop.open()).cache('product', {
    load: (db, { id }) => db.query('select id, cents, name from product where id = $1', [id]).then((r) => r.rows[0]),
  })
  for (let i = 0; i < 2; i++) {
    expect(await named.read({ id: 1 })).toMatchObject({ value: { name: 'product 1' }, freshness: 'fresh' })
  }
  expect((await shop.guard().look(shop.key(1))).cell).toBeNull()
  expect(events.named('refill').map((e) => e.outcome)).toEqual(['misfit', 'misfit'])
  expect(events.named('misfit')).toMatchObject([{ error: { code: 'VALUE_UNCACHEABLE' } }])
  expect(events.named('misfit')[0]!.error.message).toContain('"name", which the projection has not')
  expect(await named.get({ id: 4711 })).toBeUndefined()
  expect(events.named('refill').at(-1)).toMatchObject({ outcome: 'stored' })
})

test('a serializer of the app’s own is refused: the worker writes JSON', async () => {
  await using shop = await ShopContext.open(UPDATE, {}, PROJECTION)
  const packed = { id: 16, encode: () => Buffer.alloc(0), decode: () => undefined }
  const tidemark = await shop.open({ serializer: packed })
  expect(() => tidemark.cache('product', { load })).toThrow(/CONFIG_INVALID/)
})
