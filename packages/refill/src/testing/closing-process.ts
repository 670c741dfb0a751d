import { Redis } from 'ioredis'
import pg from 'pg'
import { openTidemark } from '../tidemark.ts'
import { type ClosingSetup, closingSource } from './closing.ts'

// An app that ends with all under way that it can have: a read that waits for its load, one that hangs, a refresh behind a
// reader, what it holds in memory, a lease that is prolonged. It says what became of them, and leaves its end to Node.

const setup = JSON.parse(process.env.TIDEMARK_TEST_APP ?? '') as ClosingSetup
const primary = new pg.Pool({ connectionString: setup.primaryUrl })
const [redis, subscriber] = [new Redis(setup.redisUrl), new Redis(setup.redisUrl)]
const tidemark = await openTidemark({
  ...{ source: closingSource(setup.keyPrefix), redis, primary, memory: { subscriber } },
  timings: { readMs: setup.readMs },
})
const begun = new Map<number, PromiseWithResolvers<void>>([2, 3, 4].map((id) => [id, Promise.withResolvers<void>()]))
const product = tidemark.cache('product', {
  load: async (db, { id }) => {
    begun.get(Number(id))?.resolve()
    const seconds = Number(id) === 4 ? 60 : 0.3
    const { rows } = await db.query<{ cents: number }>('select cents, pg_sleep($2) from product where id = $1', [
      id,
      seconds,
    ])
    return rows[0]?.cents
  },
})
const refreshed = await product.read({ id: 2 })
const waiting = product.read({ id: 3 })
const hanging = product.read({ id: 4 }).catch((error: { code: string }) => error.code)
await Promise.all(Array.from(begun.values(), ({ promise }) => promise))
const start = performance.now()
await tidemark.close()
const closedMs = performance.now() - start
const told = {
  ...{ closedMs, refreshed: refreshed.doubt, waited: (await waiting).freshness, hanging: await hanging },
  after: await product.get({ id: 1 }).catch((error: { code: string }) => error.code),
  snapshot: await tidemark.snapshot([product.at({ id: 1 })]).catch((error: { code: string }) => error.code),
}
await primary.end()
for (const client of [redis, subscriber]) client.disconnect()
process.stdout.write(JSON.stringify(told))
