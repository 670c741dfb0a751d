import assert from 'node:assert/strict'
import { expect, test } from '@jest/globals'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { ShopContext } from '../testing/shop-context.ts'
import type { Compression } from './compression.ts'

/** Of each kind that `pg` gives, and one that an app may make. */
const KINDS = `select now() as at, 'tide'::bytea as photo, null as none, '{"a": [1]}'::jsonb as json, array[1, 2] as list,
  repeat('tide ', 1000) as long, 'NaN'::float8 as ratio, '9007199254740993' as big`

async function load(db: Connection) {
  const [row] = (await db.query<{ big: string }>(KINDS)).rows
  return { ...row, big: BigInt(row!.big) }
}

const replicas: [] = []

test('what pg gives is the same from Redis, from memory’s bytes, and from the load', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open({ replicas })).cache('product', { load })
  const loaded = await product.read({ id: 1 })
  const hit = await product.read({ id: 1 })
  expect([loaded.from, hit.from]).toEqual(['primary', 'redis'])
  assert.deepStrictEqual(hit.value, loaded.value)
})

test.each(['gzip', 'brotli', 'zstd'] as const)('what one app compresses by %s another reads', async (algorithm) => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const open = async (compression?: Compression) =>
    (await shop.open({ replicas, ...(compression && { compression }) })).cache('product', { load })
  const loaded = await (await open({ algorithm })).read({ id: 1 })
  const bytes = await shop.redis.strlen(`${shop.source.keyPrefix}:{0}:${shop.key(1)}`)
  expect(bytes).toBeLessThan(1_000)
  const hit = await (await open()).read({ id: 1 })
  expect(hit.from).toBe('redis')
  assert.deepStrictEqual(hit.value, loaded.value)
})

test('what is compressed and would become too large is loaded anew', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using events = new RefillEvents()
  const large = async () => 'x'.repeat(10_000)
  const compression = { algorithm: 'gzip' } as const
  await (await shop.open({ replicas, compression })).cache('product', { load: large }).get({ id: 1 })
  const small = (await shop.open({ replicas, maxValueBytes: 9_999 })).cache('product', { load: large })
  expect(await small.read({ id: 1 })).toMatchObject({ from: 'primary', freshness: 'fresh' })
  expect(events.named('redisFailed')).toMatchObject([{ error: { code: 'CELL_MALFORMED' } }])
  expect(events.named('refill').map((e) => e.outcome)).toEqual(['stored', 'too-large'])
})

test.each([
  [{ maxValueBytes: 0 }, /maxValueBytes/],
  [{ compression: { algorithm: 'lzw' } as unknown as Compression }, /compression\.algorithm.*gzip, brotli/],
  [{ compression: { algorithm: 'gzip', minBytes: -1 } as const }, /compression\.minBytes/],
  [{ serializer: { id: 1, encode: () => Buffer.alloc(0), decode: () => 0 } }, /serializer\.id: must be 16-63/],
])('what is no option is refused: %j', async (options, message) => {
  await using shop = await ShopContext.open()
  const opening = shop.open(options)
  await expect(opening).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  await expect(opening).rejects.toThrow(message)
})
