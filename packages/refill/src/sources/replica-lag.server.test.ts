import { expect, test } from '@jest/globals'
import { PostgresServer } from '@tidemark/local'
import { RefillEvents } from '../testing/refill-events.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'
import type { Connection } from './database.ts'

const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])

/** A shop whose replica is the test's own to pause. */
async function openShop(resources: AsyncDisposableStack) {
  const server = resources.use(await PostgresServer.start({ durable: false }))
  const replica = resources.use(await server.createReplica({ name: 'eu_west' }))
  const urls = { primaryUrl: server.url(), replicaUrls: { 'eu-west': replica.url() } }
  const shop = resources.use(await ShopContext.open({}, urls))
  await shop.trust()
  return { shop, replica }
}

test('I2 a replica that is paused fills what has not changed, nothing that has, and is used again once released', async () => {
  await using resources = new AsyncDisposableStack()
  const { shop, replica } = await openShop(resources)
  using events = new RefillEvents()
  const product = (await shop.open({ timings: { replicaWaitMs: 30 } })).cache('product', { load })
  await replica.pauseReplay()
  const change = await shop.setPrice(1, 2499)
  await shop.invalidate(1, change)
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 2499 }, from: 'primary', freshness: 'fresh' })
  expect(await product.read({ id: 2 })).toMatchObject({ value: { cents: 1999 }, from: 'eu-1', freshness: 'fresh' })
  expect(events.named('replicaLagging')).toMatchObject([{ replica: 'eu-1', lagBytes: expect.any(Number) }])
  expect(events.named('replicaLagging')[0]!.lagBytes).toBeGreaterThan(0)

  await shop.invalidate(3, await shop.setPrice(3, 333))
  const patient = (await shop.open({ timings: { replicaWaitMs: 30_000 } })).cache('product', { load })
  const waiting = patient.read({ id: 3 })
  await replica.resumeReplay()
  expect(await waiting).toMatchObject({ value: { cents: 333 }, from: 'eu-1', freshness: 'fresh' })
})

test('a session that wrote is not served by a paused replica, one that did not write is', async () => {
  await using resources = new AsyncDisposableStack()
  const { shop, replica } = await openShop(resources)
  const tidemark = await shop.open({ timings: { replicaWaitMs: 30, watermarkWaitMs: 30 } })
  const product = tidemark.cache('product', { load })
  await replica.pauseReplay()
  const session = tidemark.session()
  await session.write((db) => db.query('update product set cents = 2499 where id = 1'))
  // Nobody was told of the change yet: only the session knows.
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, from: 'eu-1' })
  expect(await product.read({ id: 1 }, { session })).toMatchObject({ value: { cents: 2499 }, from: 'primary' })
  await replica.resumeReplay()
})

test('a replica that was promoted behind everybody’s back fills nothing', async () => {
  await using resources = new AsyncDisposableStack()
  const { shop, replica } = await openShop(resources)
  using events = new RefillEvents()
  await replica.promote()
  await shop.replica.query('update product set cents = 1 where id = 1')
  const product = (await shop.open()).cache('product', { load })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents: 1999 }, from: 'primary', freshness: 'fresh' })
  expect(events.named('sourceFailed')).toMatchObject([{ from: 'eu-1' }])
  // And as a primary it is not believed either, nor does a write there count for this epoch.
  const session = (await shop.open({ primary: shop.replica, replicas: [] })).session()
  await session.write((db) => db.query('update product set cents = 2 where id = 1'))
  expect((await session.demand())!.own.slice(0, 8)).toBe('00000002')
  const astray = (await shop.open({ primary: shop.replica, replicas: [] })).cache('product', { load })
  await expect(astray.get({ id: 2 })).rejects.toThrow(/UNPROVABLE.*unannounced/)
  await expect(product.get({ id: 2 }, { session })).rejects.toThrow(/UNPROVABLE.*behind-session/)
})
