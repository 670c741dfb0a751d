import { inspect } from 'node:util'
import { expect, test } from '@jest/globals'
import { lsnOf, position, version } from '@tidemark/protocol'
import { Redis } from 'ioredis'
import type { RefillEvent } from './events.ts'
import type { Connection } from './sources/database.ts'
import { RefillEvents } from './testing/refill-events.ts'
import { PRODUCT, ShopContext } from './testing/shop-context.ts'
import type { Tidemark } from './tidemark.ts'

const SECRET_ID = 1_234_567_891
const SECRET_NAME = 'zqxjk' // short, for errors quote the beginnings of texts
const FAR = version(1, 1n << 60n)
const load = async (db: Connection, { id }: { id: unknown }) => (await db.query(PRODUCT, [id])).rows[0]
const nowhere = () =>
  new Redis('redis://127.0.0.1:1', { enableOfflineQueue: false, lazyConnect: true, retryStrategy: () => null })

/** Reads in every way that there is: hit, miss, each refusal, each failure. What is thrown is not of interest here. */
async function everything(shop: ShopContext): Promise<void> {
  const id = SECRET_ID
  const open = (options: Parameters<ShopContext['open']>[0] = {}) =>
    shop.open({ timings: { leaseWaitMs: 20, watermarkWaitMs: 20, replicaWaitMs: 5 }, ...options })
  const read = async (
    tidemark: Tidemark<{ product: 'product:{id}' }>,
    loading: (db: Connection) => Promise<unknown>,
    seen = false,
  ) => {
    const session = tidemark.session()
    if (seen) session.saw(position(1, lsnOf(FAR) + 1n), null)
    const cache = tidemark.cache('product', { load: loading })
    await cache.read({ id }, seen ? { session } : {}).catch(() => undefined)
  }
  const loading = (db: Connection) => load(db, { id })
  const throwing = (db: Connection) => db.query('select 1 from product where name = $1 and 1/0 = 1', [SECRET_NAME])
  const tidemark = await open()
  await read(tidemark, loading) // no view
  await shop.trust()
  await read(tidemark, loading) // a miss, by the replica
  await read(tidemark, loading) // a hit
  await read(tidemark, loading, true) // a session that is ahead
  await shop.redis.set(`${shop.source.keyPrefix}:{0}:${shop.key(id)}`, SECRET_NAME)
  await read(tidemark, throwing) // a cell that is none, sources that fail
  await read(tidemark, async () => ({ name: SECRET_NAME, at: new Date() })) // what cannot be cached
  await read(await open({ maxValueBytes: 3 }), loading)
  await shop.redis.del(`${shop.source.keyPrefix}:{0}:${shop.key(id)}`)
  const raw = { id: 16, encode: () => Buffer.from(SECRET_NAME), decode: (bytes: Buffer) => bytes.toString() }
  await read(await open({ serializer: raw, replicas: [] }), loading)
  await read(tidemark, loading) // what another serializer wrote
  await shop.invalidate(id, FAR)
  await read(tidemark, loading) // a replica that lags
  await shop.redis.del(`${shop.source.keyPrefix}:{0}:${shop.key(id)}`)
  await shop.guard().lease(shop.key(id), 'product', '0'.repeat(16), 60_000, null)
  await read(tidemark, loading) // another's lease
  await read(await open({ redis: nowhere() }), loading)
}

/** All that a listener would write down; an `error` object is the listener's to judge, for it is a driver's or an app's. */
const written = (events: readonly RefillEvent[]) =>
  events.map((event) => JSON.stringify(event, (name, value) => (name === 'error' ? typeof value : value)))

test('what is told carries names and counts, never a key or a value', async () => {
  await using shop = await ShopContext.open()
  await shop.primary.query('insert into product values ($1, $2, 1999)', [SECRET_ID, SECRET_NAME])
  await shop.replicaCaughtUp()
  using events = new RefillEvents()
  await everything(shop)
  const told = new Set(events.all.map((e) => e.event))
  const kinds = [
    'leaseWait',
    'read',
    'readFailed',
    'redisFailed',
    'refill',
    'replicaAwaited',
    'replicaLagging',
    'sourceFailed',
  ]
  expect([...told].sort()).toEqual(kinds)
  for (const text of written(events.all)) {
    expect(text).not.toContain(String(SECRET_ID))
    expect(text).not.toContain(SECRET_NAME)
  }
})

test('the errors that are told hold no value either, nor do their causes', async () => {
  await using shop = await ShopContext.open()
  await shop.primary.query('insert into product values ($1, $2, 1999)', [SECRET_ID, SECRET_NAME])
  await shop.replicaCaughtUp()
  using events = new RefillEvents()
  await everything(shop)
  const errors = [...events.named('redisFailed'), ...events.named('sourceFailed')].map((e) => inspect(e.error))
  expect(errors.filter((text) => text.includes('CELL_MALFORMED')).length).toBeGreaterThan(1)
  for (const text of errors) expect(text).not.toContain(SECRET_NAME)
})
