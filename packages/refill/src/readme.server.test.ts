import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { contractSchema } from '@tidemark/protocol'
import { openPool, openShop } from './testing/example.ts'
import { ShopContext } from './testing/shop-context.ts'
import { DEFAULT_TIMINGS } from './timings.ts'

const tokenSecret = 'a secret that has thirty-two bytes'
const folder = import.meta.dirname
const readme = () => readFile(join(folder, '..', 'README.md'), 'utf8')

test('the example in the README is the one that runs here', async () => {
  expect(await readme()).toContain(`\`\`\`ts\n${await readFile(join(folder, 'testing', 'example.ts'), 'utf8')}\`\`\``)
})

test('the guide’s tables name every option with its default', async () => {
  const text = await readFile(join(folder, '..', 'docs', 'guide.md'), 'utf8')
  const said = (name: string, value: unknown) => `| \`${name}\` | ${value} |`
  const plain = text.replaceAll(/ +\|/g, ' |').replaceAll(/\| +/g, '| ')
  for (const [name, value] of Object.entries(DEFAULT_TIMINGS)) expect(plain).toContain(said(name, value))
  const { session, ...contract } = contractSchema.parse({})
  const promised = Object.entries(session).map(([name, value]) => [`session.${name}`, value] as const)
  for (const [name, value] of [...Object.entries(contract), ...promised]) {
    expect(plain).toContain(said(name, typeof value === 'string' ? `\`${value}\`` : value))
  }
})

test('the example caches, reads its own write at once and on the next request, and knows a forged token', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const { redis, primary, replica, source } = shop
  const app = await openShop({ primary, replica, redis, tokenSecret }, source)
  expect(await app.price(1)).toEqual({ cents: 1999 })
  await shop.primary.query('update product set cents = 1 where id = 1') // of which nobody told the cache
  expect(await app.price(1)).toEqual({ cents: 1999 })
  const written = await app.setPrice(1, 2499)
  expect(written).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh' })
  await shop.beat()
  expect(await app.setPrice(1, 2599, written.token)).toMatchObject({ value: { cents: 2599 }, freshness: 'fresh' })
  await expect(app.setPrice(1, 1, 'forged')).rejects.toMatchObject({ code: 'TOKEN_INVALID' })
})

test('the example’s pool gives up on a server that is not there', async () => {
  await using stack = new AsyncDisposableStack()
  const pool = stack.adopt(openPool('postgres://app@127.0.0.1:1/shop'), (each) => each.end())
  await expect(pool.query('select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})
