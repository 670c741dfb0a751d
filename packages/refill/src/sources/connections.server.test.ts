import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from '@jest/globals'
import pg from 'pg'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'
import type { Connection } from './database.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])

/** Connections that were handed out and have not come back, and requests for one that still wait. */
const outstanding = (pool: pg.Pool) => [pool.totalCount - pool.idleCount, pool.waitingCount]

const pidOf = async (db: Connection) => (await db.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid

test('every connection comes back, however the read ended', async () => {
  await using shop = await ShopContext.open()
  const tidemark = await shop.open({ timings: { leaseWaitMs: 20, replicaWaitMs: 5 } })
  const read = (loading: (db: Connection) => Promise<unknown>) =>
    tidemark
      .cache('product', { load: loading })
      .get({ id: 1 })
      .catch(() => undefined)
  const failures = [
    (db: Connection) => db.query('select 1/0'),
    () => Promise.reject(new Error('mine')),
    async () => ({ at: new Date() }),
    (db: Connection) => db.query('commit; select 1'),
    (db: Connection) => db.query('rollback; begin; select 1/0'),
  ]
  for (const failing of failures) await read(failing) // without a view
  await shop.trust()
  await Promise.all([...failures, ...failures, ...failures].map(read))
  const session = tidemark.session()
  await session.write((db) => db.query('select 1/0')).catch(() => undefined)
  await session.write((db) => db.query('update product set cents = 5 where id = 5'))
  expect(outstanding(shop.primary)).toEqual([0, 0])
  expect(outstanding(shop.replica)).toEqual([0, 0])
  // And none is left inside a transaction.
  for (const pool of [shop.primary, shop.replica]) {
    const states = await Promise.all(
      Array.from({ length: 8 }, () => pool.query('select now() = statement_timestamp() as outside, pg_sleep(0.05)')),
    )
    expect(states.map((s) => s.rows[0].outside)).toEqual(Array(8).fill(true))
  }
})

test('a replica that ends the connection in the middle of a load is passed by, and the process lives', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  using events = new RefillEvents()
  const product = (await shop.open()).cache('product', {
    load: async (db, params) => {
      const { rows } = await db.query<{ standby: boolean }>('select pg_is_in_recovery() as standby')
      // Between two queries, where nobody listens to the connection but whoever has it.
      if (rows[0]!.standby) await shop.replica.query('select pg_terminate_backend($1, 5000)', [await pidOf(db)])
      return load(db, params)
    },
  })
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'primary', value: { cents: 1999 } })
  expect(events.named('sourceFailed')).toMatchObject([{ from: 'eu-1' }])
  expect(outstanding(shop.replica)).toEqual([0, 0])
})

test('a primary that ends the connection in the middle of a load is an error of this read only', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const tidemark = await shop.open({ replicas: [] })
  const ended = tidemark.cache('product', {
    load: async (db) => shop.primary.query('select pg_terminate_backend($1, 5000)', [await pidOf(db)]),
  })
  await expect(ended.get({ id: 1 })).rejects.toThrow(/UNPROVABLE/)
  expect(await tidemark.cache('product', { load }).read({ id: 1 })).toMatchObject({ from: 'primary' })
  expect(outstanding(shop.primary)).toEqual([0, 0])
})

test('a replica that accepts and says nothing costs no more than its pool’s own timeout', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  await using stack = new AsyncDisposableStack()
  const silent = stack.adopt(
    createServer((socket) => socket.resume()).listen(0, '127.0.0.1'),
    (server) => void server.close(),
  )
  await once(silent, 'listening')
  const { port } = silent.address() as { port: number }
  const pool = stack.adopt(
    new pg.Pool({ host: '127.0.0.1', port, user: 'app', connectionTimeoutMillis: 200 }),
    (each) => each.end(),
  )
  const product = (await shop.open({ replicas: [pool, { name: 'eu-1', pool: shop.replica }] })).cache('product', {
    load,
  })
  const start = performance.now()
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'eu-1', freshness: 'fresh' })
  expect(performance.now() - start).toBeLessThan(10_000)
})
