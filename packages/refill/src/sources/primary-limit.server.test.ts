import { expect, test } from '@jest/globals'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'
import type { Connection } from './database.ts'

test('a herd of readers with no replica is answered by the contract beyond the primary’s limit, and the primary sees no more', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using events = new RefillEvents()
  let loads = 0
  const load = async (db: Connection, { id }: { id: unknown }) => {
    loads++
    return (await db.query<Product>(PRODUCT, [id])).rows[0]
  }
  const primaryLimit = { perSecond: 1 / 3_600, burst: 5, waitMs: 0 }
  const product = (await shop.open({ replicas: [], primaryLimit })).cache('product', { load })
  const herd = Array.from({ length: 40 }, (_, i) => product.read({ id: i + 1 }).then(() => 'fresh', String))
  const answers = await Promise.all(herd)
  expect(answers.filter((answer) => answer === 'fresh')).toHaveLength(5)
  expect(answers.filter((answer) => /UNPROVABLE.*primary-limited/.test(answer))).toHaveLength(35)
  expect([loads, events.named('primaryLimited').length]).toEqual([5, 35])
})

test('a limit that makes no sense is refused at once, all mistakes named', async () => {
  await using shop = await ShopContext.open()
  await expect(shop.open({ primaryLimit: { perSecond: 0, burst: 0 } })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/perSecond.*burst/s),
  })
})
