import { expect, test } from '@jest/globals'
import { PostgresServer, waitUntil } from '@tidemark/local'
import pg from 'pg'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'
import type { Connection } from './database.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])

const outstanding = (pool: pg.Pool) => [pool.totalCount - pool.idleCount, pool.waitingCount]

test('a load that hangs is given up, its connection closed, and what comes late is heard by nobody', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const tidemark = await shop.open({ timings: { loadMs: 300 } })
  const hangs = tidemark.cache('product', { load: (db) => db.query('select pg_sleep(60)') })
  const start = performance.now()
  await expect(hangs.get({ id: 1 })).rejects.toMatchObject({ code: 'LOAD_FAILED' })
  expect(performance.now() - start).toBeLessThan(10_000)
  await waitUntil(
    'no connection is kept',
    async () => [...outstanding(shop.primary), ...outstanding(shop.replica)].every((n) => n === 0),
    {
      timeoutMs: 5_000,
    },
  )
  expect(await tidemark.cache('product', { load }).read({ id: 1 })).toMatchObject({ freshness: 'fresh' })
})

test('a load whose caller gives up ends at once with the signal’s reason, and costs the pool no connection', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const giveUp = new AbortController()
  const sleeping = Promise.withResolvers<void>()
  const product = (await shop.open()).cache('product', {
    load: (db) => {
      sleeping.resolve()
      return db.query('select pg_sleep(60)')
    },
  })
  const read = product.get({ id: 1 }, { signal: giveUp.signal })
  await sleeping.promise
  const reason = new Error('the client went away')
  giveUp.abort(reason)
  await expect(read).rejects.toBe(reason)
  await waitUntil(
    'no connection is kept',
    async () => [...outstanding(shop.primary), ...outstanding(shop.replica)].every((n) => n === 0),
    {
      timeoutMs: 5_000,
    },
  )
})

test('a pool that is exhausted is passed by, and what it hands out late goes back to it', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const one = new pg.Pool({ ...shop.replica.options, max: 1 })
  await using _ = { [Symbol.asyncDispose]: () => one.end() }
  const taken = await one.connect()
  const replicas = [{ name: 'eu-1', pool: one }]
  const tidemark = await shop.open({ replicas, timings: { replicaAnswerMs: 50 } })
  const product = tidemark.cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ from: 'primary', freshness: 'fresh' })
  expect(one.waitingCount).toBe(1)
  taken.release()
  await waitUntil('the pool has its connection', async () => outstanding(one).every((n) => n === 0), {
    timeoutMs: 5_000,
  })
  expect(await product.read({ id: 2 })).toMatchObject({ from: 'eu-1' })
})

test('a replica that is frozen costs a few reads its time-out, no more of them, and is used again when it is back', async () => {
  await using server = await PostgresServer.start({ durable: false })
  await using replica = await server.createReplica({ name: 'eu_west' })
  await using shop = await ShopContext.open({}, { primaryUrl: server.url(), replicaUrls: { 'eu-west': replica.url() } })
  await shop.trust()
  using events = new RefillEvents()
  const replicaAnswerMs = 300
  const product = (await shop.open({ timings: { replicaAnswerMs } })).cache('product', { load })
  let id = 1
  const read = () => product.read({ id: id++ })
  expect(await read()).toMatchObject({ from: 'eu-1' })
  // Server and backend: the postmaster alone would leave the open connection alive.
  const { rows } = await shop.replica.query<{ pid: number }>('select pg_backend_pid() as pid')
  replica.pause()
  process.kill(rows[0]!.pid, 'SIGSTOP')
  for (let i = 0; i < 3; i++) expect(await read()).toMatchObject({ from: 'primary', freshness: 'fresh' })
  expect(events.named('replicaCircuit')).toMatchObject([{ replica: 'eu-1', state: 'open' }])
  const start = performance.now()
  expect(await read()).toMatchObject({ from: 'primary' })
  expect(performance.now() - start).toBeLessThan(replicaAnswerMs)
  replica.resume()
  process.kill(rows[0]!.pid, 'SIGCONT')
  await waitUntil('the replica is used again', async () => (await read()).from === 'eu-1', {
    timeoutMs: 30_000,
    everyMs: 200,
  })
  expect(events.named('replicaCircuit').at(-1)).toMatchObject({ state: 'closed' })
  expect(outstanding(shop.replica)).toEqual([0, 0])
})
