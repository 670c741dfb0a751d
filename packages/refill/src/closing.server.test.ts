import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { localServers } from '@tidemark/local'
import type { Connection } from './sources/database.ts'
import type { ClosingSetup } from './testing/closing.ts'
import { PRODUCT, type Product, ShopContext } from './testing/shop-context.ts'

const run = promisify(execFile)
const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
const REFRESHED = { reaction: 'refresh', whenUnprovable: 'serve-stale', retainStaleMs: 60_000 }
const READ_MS = 1_000
/** Long after every bound of the process: what keeps it alive then keeps it for ever. */
const NEVER_MS = 30_000

test('a process that closes with reads, refreshes and memory under way ends by itself, and reads no more', async () => {
  await using shop = await ShopContext.open(REFRESHED)
  await shop.trust()
  await (await shop.open()).cache('product', { load }).get({ id: 2 })
  await shop.invalidate(2, await shop.setPrice(2, 2499))
  const setup: ClosingSetup = {
    ...{ primaryUrl: shop.primary.options.connectionString!, redisUrl: localServers().redisUrls['eu-west']! },
    ...{ keyPrefix: shop.source.keyPrefix, readMs: READ_MS },
  }
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, 'testing/closing-process.ts')], {
    env: { ...process.env, TIDEMARK_TEST_APP: JSON.stringify(setup) },
    timeout: NEVER_MS,
  })
  const { closedMs, ...told } = JSON.parse(stdout)
  // The reader behind whom it was refreshed had his answer; who waited has his; who hung was told so within his own bound.
  expect(told).toEqual({
    ...{ refreshed: 'retained', waited: 'fresh', hanging: 'UNPROVABLE', after: 'CLOSED', snapshot: 'CLOSED' },
  })
  expect(closedMs).toBeLessThan(READ_MS + 1_000)
}, 60_000)

test('closing waits for what is loaded behind a reader, which is stored then', async () => {
  await using shop = await ShopContext.open(REFRESHED)
  await shop.trust()
  const tidemark = await shop.open()
  const product = tidemark.cache('product', { load })
  await product.get({ id: 1 })
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  expect(await product.read({ id: 1 })).toMatchObject({ freshness: 'stale' })
  await tidemark.close()
  const other = (await shop.open()).cache('product', { load })
  expect(await other.read({ id: 1 })).toMatchObject({ from: 'redis', freshness: 'fresh', value: { cents: 2499 } })
  await tidemark.close() // once more is no mistake
})

test('closing waits no longer than a call may take for what hangs behind a reader', async () => {
  await using shop = await ShopContext.open(REFRESHED)
  await shop.trust()
  await (await shop.open()).cache('product', { load }).get({ id: 1 })
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
  using _ = { [Symbol.dispose]: letGo }
  const tidemark = await shop.open({ timings: { readMs: 500, loadMs: 60_000 } })
  await tidemark.cache('product', { load: (db, params) => held.then(() => load(db, params)) }).read({ id: 1 })
  const start = performance.now()
  await tidemark.close()
  expect(performance.now() - start).toBeLessThan(5_000)
  letGo()
  await tidemark.close()
})
