import { expect, test } from '@jest/globals'
import * as drizzle from '../examples/drizzle.ts'
import * as kysely from '../examples/kysely.ts'
import { ShopContext } from './testing/shop-context.ts'

test.each([
  ['Drizzle', drizzle],
  ['Kysely', kysely],
])('%s loads by the connection it is given, labelled, and a session reads what it wrote by it', async (_, example) => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const { product, setPrice } = example.openShop(await shop.open())
  const loaded = { value: { id: 1, cents: 1999 }, from: 'eu-1', freshness: 'fresh', label: { low: expect.any(String) } }
  expect(await product.read({ id: 1 })).toMatchObject(loaded)
  expect(await product.read({ id: 1 })).toMatchObject({ ...loaded, from: 'redis' })
  expect(await product.get({ id: 1_000 })).toBeUndefined()
  const session = await setPrice(1, 2499)
  await shop.beat()
  await shop.replicaCaughtUp()
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  expect(await product.read({ id: 1 }, { session })).toMatchObject({
    value: { id: 1, cents: 2499 },
    freshness: 'fresh',
  })
  expect([shop.primary, shop.replica].map((pool) => pool.totalCount - pool.idleCount)).toEqual([0, 0])
})
