import { expect, test } from '@jest/globals'
import type { RedisClient } from '@tidemark/guard'
import { waitUntil } from '@tidemark/local'
import { lsnOf, version } from '@tidemark/protocol'
import type { Connection } from '../sources/database.ts'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
const ids = (...of: number[]) => of.map((id) => ({ id }))

/** Counts what it was asked for, each time. */
function counted() {
  const asked: unknown[][] = []
  const loadMany = async (db: Connection, params: readonly { readonly id: unknown }[]) => {
    asked.push(params.map(({ id }) => id))
    const { rows } = await db.query<Product>('select id, cents from product where id = any($1)', [asked.at(-1)])
    return params.map(({ id }) => rows.find((row) => row.id === id))
  }
  return { asked, options: { load, loadMany } }
}

/** Counts the MGETs that are sent, and those that are under way at once. */
function watched({ redis }: ShopContext) {
  const count = { sent: 0, atOnce: 0 }
  let underWay = 0
  const mgetBuffer = async (...keys: string[]) => {
    count.sent++
    count.atOnce = Math.max(count.atOnce, ++underWay)
    try {
      return await redis.mgetBuffer(...keys)
    } finally {
      underWay--
    }
  }
  const client = { evalsha: redis.evalsha.bind(redis), eval: redis.eval.bind(redis), mgetBuffer } as RedisClient
  return { count, client }
}

test('values come in the order of their keys, one load for all that are missing, one MGET when none is', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const { asked, options } = counted()
  const product = (await shop.open()).cache('product', options)
  await product.get({ id: 2 })
  expect(await product.getMany(ids(3, 1, 2, 4711, 1))).toMatchObject([
    { id: 3 },
    { id: 1 },
    { id: 2 },
    undefined,
    { id: 1 },
  ])
  expect(asked).toEqual([[3, 1, 4711]])
  const { count, client } = watched(shop)
  const watching = (await shop.open({ redis: client })).cache('product', options)
  using events = new RefillEvents()
  expect((await watching.readMany(ids(4711, 1, 2, 3))).map((r) => r.from)).toEqual(Array(4).fill('redis'))
  expect([count.sent, events.named('read').length]).toEqual([1, 4])
  expect(await product.getMany([])).toEqual([])
})

test('without loadMany each is loaded after the other, on one connection and by one label', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const connections = new Set<unknown>()
  const product = (await shop.open()).cache('product', {
    load: async (db, params) => {
      connections.add((await db.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid)
      return load(db, params)
    },
  })
  const readings = await product.readMany(ids(1, 2, 3))
  expect([connections.size, new Set(readings.map((r) => r.label?.low)).size]).toEqual([1, 1])
})

test('a load of many that gives too few values fails, and nothing is cached', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const product = (await shop.open()).cache('product', { load, loadMany: async () => [undefined] })
  await expect(product.getMany(ids(1, 2))).rejects.toMatchObject({ code: 'LOAD_FAILED', cause: expect.any(RangeError) })
  expect((await shop.guard().look(shop.key(1))).cell).toBeNull()
})

test('who joined a load of many that failed loads his own key', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  let begun = 0
  const loadMany = async (db: Connection) => {
    begun++
    await gate
    return db.query('select 1/0').then(() => [])
  }
  const product = (await shop.open()).cache('product', { load, loadMany })
  const many = product.getMany(ids(1, 2))
  await waitUntil('it has begun', () => begun > 0, { timeoutMs: 20_000 })
  const joined = product.get({ id: 1 })
  open()
  await expect(many).rejects.toMatchObject({ code: 'LOAD_FAILED' })
  expect(await joined).toMatchObject({ id: 1 })
})

test('more keys than a call may name are refused before anything is asked', async () => {
  await using shop = await ShopContext.open()
  const { count, client } = watched(shop)
  const product = (await shop.open({ redis: client })).cache('product', { load })
  await expect(product.getMany(Array.from({ length: 10_001 }, (_, id) => ({ id })))).rejects.toMatchObject({
    code: 'KEY_PARAMS_INVALID',
  })
  expect(count.sent).toBe(0)
})

test('I1 what is loaded together covers what is required of each: no replica that lacks the past of one key loads any', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await shop.replicaCaughtUp()
  const product = (await shop.open()).cache('product', counted().options)
  expect((await product.read({ id: 3 })).from).toBe('eu-1')
  // Further than the replica has replayed: as if it lagged.
  await shop.invalidate(2, version(1, lsnOf(await shop.here()) + 1_000_000_000n))
  const readings = await product.readMany(ids(1, 2))
  expect(readings.map(({ from }) => from)).toEqual(['primary', 'primary'])
})
