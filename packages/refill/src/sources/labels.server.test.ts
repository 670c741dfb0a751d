import { describe, expect, test } from '@jest/globals'
import { PostgresServer, waitUntil } from '@tidemark/local'
import { covers, type Position, type Version } from '@tidemark/protocol'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'
import type { Connection } from './database.ts'
import { loadFromPrimary, loadFromReplica } from './labelled-load.ts'
import { standingStatement } from './standing.ts'

const HOT_TIMES = 100
const HOT_MS = 20_000

const rows = (db: Connection) => db.query<Product>(PRODUCT, [1]).then((r) => r.rows[0]!)

/** Reads product 1 by a load that lets the database go on before, or after, the statement that reads the row. */
async function readAcrossCommit(shop: ShopContext, when: 'before the rows' | 'after the rows', from: string) {
  let committed: Version | undefined
  const commit = async () => {
    committed ??= await shop.setPrice(1, 2499)
    await shop.replicaCaughtUp()
  }
  const replicas = from === 'primary' ? [] : [{ name: from, pool: shop.replica }]
  const product = (await shop.open({ replicas })).cache('product', {
    load: async (db) => {
      if (when === 'before the rows') await commit()
      const row = await rows(db)
      if (when === 'after the rows') await commit()
      return row
    },
  })
  const reading = await product.read({ id: 1 })
  expect(reading.from).toBe(from)
  return { cents: reading.value.cents, label: reading.label!, committed: committed! }
}

describe.each(['eu-1', 'primary'])('I1 a label of %s', (from) => {
  test('does not begin beyond a commit that came after the rows were read', async () => {
    await using shop = await ShopContext.open()
    await shop.trust()
    const { cents, label, committed } = await readAcrossCommit(shop, 'after the rows', from)
    expect(cents).toBe(1999)
    expect(covers(label.low, committed)).toBe(false)
  })

  test('does not end before a commit that the rows hold, though it came after the load began', async () => {
    await using shop = await ShopContext.open()
    await shop.trust()
    const { cents, label, committed } = await readAcrossCommit(shop, 'before the rows', from)
    expect(cents).toBe(2499)
    expect(covers(label.high, committed)).toBe(true)
  })
})

describe.each(['replica', 'primary'] as const)('I1 of a load of one snapshot from the %s', (role) => {
  const statement = standingStatement('shop')
  const load = async (db: Connection) => {
    const first = await rows(db)
    expect(await rows(db)).toEqual(first)
    return first
  }

  test('while its key is written all the time, no label claims a commit that its rows lack, or denies one that they have', async () => {
    await using shop = await ShopContext.open()
    const commits: { readonly cents: number; readonly end: Position }[] = []
    const writing = new AbortController()
    const writer = writeUntil(shop, writing.signal, commits)
    const wide = { reached: () => true, again: async () => false }
    let loads = 0
    const giveUpAt = performance.now() + HOT_MS
    while ((loads < HOT_TIMES || commits.length < HOT_TIMES) && performance.now() < giveUpAt) {
      // As a lease grants it: all that returned from its COMMIT before is visible.
      const granted = commits.at(-1)?.end ?? (await shop.here())
      const loading = { pool: shop[role], statement, load, isolation: 'snapshot' } as const
      const loaded =
        role === 'primary'
          ? await loadFromPrimary(loading, granted, Date.now)
          : await loadFromReplica({ ...loading, ...wide }).then((answer) => answer.code === 'loaded' && answer.loaded)
      if (!loaded || loaded.label === null) throw new Error('it was to be labelled')
      const { label, value } = loaded
      const covered = commits.filter((commit) => commit.end <= label.low).at(-1)
      expect(value.cents).toBeGreaterThanOrEqual(covered?.cents ?? 0)
      // The commit whose row it is came after the one before it had ended.
      const before = commits.find((commit) => commit.cents === value.cents - 1)
      if (before) expect(label.high > before.end).toBe(true)
      loads++
    }
    writing.abort()
    await writer
    expect([loads >= HOT_TIMES, commits.length >= HOT_TIMES]).toEqual([true, true])
  })
})

/** Raises the price of product 1 by one and notes where the log was before each next write: each commit ends there. */
async function writeUntil(shop: ShopContext, signal: AbortSignal, commits: { cents: number; end: Position }[]) {
  for (let cents = 1; !signal.aborted; cents++) {
    await shop.primary.query('update product set cents = $1 where id = 1', [cents])
    commits.push({ cents, end: await shop.here() })
  }
}

test('I1 the primary’s own position is no label: a commit that waits for a standby is in the log and in no snapshot', async () => {
  await using server = await PostgresServer.start({ durable: false })
  await using replica = await server.createReplica({ name: 'eu_west' })
  const urls = { primaryUrl: server.url(), replicaUrls: { 'eu-west': replica.url() } }
  await using shop = await ShopContext.open({}, urls)
  await shop.trust()
  const before = await shop.here()
  await server.configure({ synchronous_standby_names: 'nobody' })
  const waiting = shop.primary.query('update product set cents = 2499 where id = 1').then(() => undefined)
  await waitUntil(
    'the commit waits for its standby',
    async () => (await server.query(`select 1 from pg_stat_activity where wait_event = 'SyncRep'`)).length === 1,
    { timeoutMs: 20_000 },
  )
  const product = (await shop.open({ replicas: [] })).cache('product', { load: rows })
  const { value, label } = await product.read({ id: 1 })
  expect(value.cents).toBe(1999)
  expect(label!.high > before).toBe(true) // the log has gone on, and the label must not begin there
  expect(label!.low <= before).toBe(true)
  // A replica shows it meanwhile: a session that saw it there is not served the primary's older row.
  const session = (await shop.open()).session()
  await shop.replicaCaughtUp()
  const there = (await shop.open()).cache('product', { load: rows })
  await shop.redis.del(`${shop.source.keyPrefix}:{0}:${shop.key(1)}`)
  expect((await there.read({ id: 1 }, { session })).value.cents).toBe(2499)
  const here = (await shop.open({ replicas: [], timings: { watermarkWaitMs: 50 } })).cache('product', { load: rows })
  await shop.redis.del(`${shop.source.keyPrefix}:{0}:${shop.key(1)}`)
  await expect(here.get({ id: 1 }, { session })).rejects.toThrow(/UNPROVABLE.*behind-session/)
  await server.configure({ synchronous_standby_names: '' })
  await waiting
})
