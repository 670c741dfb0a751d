import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { openShop } from './testing/example.ts'
import { ShopContext } from './testing/shop-context.ts'

const tokenSecret = 'a secret that has thirty-two bytes'
const folder = import.meta.dirname
const readme = () => readFile(join(folder, '..', 'README.md'), 'utf8')

test('the example in the README is the one that runs here', async () => {
  expect(await readme()).toContain(`\`\`\`ts\n${await readFile(join(folder, 'testing', 'example.ts'), 'utf8')}\`\`\``)
})

test('the README is of one screen', async () => {
  expect((await readme()).trimEnd().split('\n').length).toBeLessThanOrEqual(60)
})

test('the example caches, reads its own write at once and on the next request, and knows a forged token', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const { redis, primary, replica, source } = shop
  const app = await openShop(redis, primary, replica, tokenSecret, source)
  expect(await app.price(1)).toEqual({ cents: 1999 })
  await shop.primary.query('update product set cents = 1 where id = 1') // of which nobody told the cache
  expect(await app.price(1)).toEqual({ cents: 1999 })
  const written = await app.setPrice(1, 2499)
  expect(written).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh' })
  await shop.beat()
  expect(await app.setPrice(1, 2599, written.token)).toMatchObject({ value: { cents: 2599 }, freshness: 'fresh' })
  await expect(app.setPrice(1, 1, 'forged')).rejects.toMatchObject({ code: 'TOKEN_INVALID' })
})
