import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { PostgresServer, waitUntil } from '@tidemark/local'
import { epochOf } from '@tidemark/protocol'
import { Products, QUICK } from './testing/products.ts'
import { fromZombies, readTopicLog } from './testing/topic-log.ts'

const DEADLINE_MS = 30_000

let primary: PostgresServer

beforeAll(async () => {
  primary = await PostgresServer.start({ durable: false })
}, 120_000)

afterAll(async () => {
  await primary?.[Symbol.asyncDispose]()
})

/** Two publishers of one source in one log: one for each side. */
class Failover implements AsyncDisposable {
  readonly products: Products
  readonly standby: PostgresServer

  private constructor(products: Products, standby: PostgresServer) {
    this.products = products
    this.standby = standby
  }

  static async open(name: string, settings: Record<string, string | boolean> = {}): Promise<Failover> {
    const products = await Products.open(primary.url())
    return new Failover(products, await primary.createReplica({ name, settings: { ...settings, fsync: false } }))
  }

  startOld() {
    return this.products.start({ log: this.products.ctx.log.child({ side: 'old' }) })
  }

  startNew() {
    const { ctx, source } = this.products
    const log = ctx.log.child({ side: 'new' })
    return ctx.start(source, { ...QUICK, postgresUrl: this.standby.url(ctx.name), log })
  }

  /** Once the standby has replayed all that the primary has written until now. */
  async promote(): Promise<void> {
    const [written] = await primary.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn')
    const replayed = 'select pg_last_wal_replay_lsn() >= $1::pg_lsn as done'
    const isDone = async () => (await this.standby.query<{ done: boolean }>(replayed, [written!.lsn]))[0]!.done
    await waitUntil('the standby has replayed it', isDone, { timeoutMs: DEADLINE_MS })
    await this.standby.promote()
  }

  onNew(sql: string) {
    return this.standby.query<Record<string, unknown>>(sql, [], this.products.ctx.name)
  }

  logs(side: 'old' | 'new', text: string): number {
    const lines = this.products.ctx.logged.filter((l) => l.side === side)
    return lines.filter((l) => JSON.stringify(l).includes(text)).length
  }

  /** Which timelines announced each epoch. */
  announced(): Map<number, Set<number>> {
    const timelines = new Map<number, Set<number>>()
    for (const record of this.products.ctx.records) {
      if (record.kind !== 'epoch') continue
      const epoch = epochOf(record.position)
      timelines.set(epoch, (timelines.get(epoch) ?? new Set()).add(record.timeline))
    }
    return timelines
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.products[Symbol.asyncDispose]()
    await this.standby[Symbol.asyncDispose]()
  }
}

test('I4: a standby promoted without a failover slot begins a new epoch: nothing says what was missed', async () => {
  await using failover = await Failover.open('without_slot')
  const { products } = failover
  const old = await failover.startOld()
  await products.insert(1)
  await products.published(1, 1)
  await old.stop()
  await products.insert(2)
  await failover.promote()
  failover.startNew()
  await products.announced(2)
  expect(products.causes()).toEqual(['first', 'slot-missing'])
  await failover.onNew("insert into product values (3, 'x')")
  await products.published(3, 2)
  expect(failover.announced().get(2)).toEqual(new Set([2]))
})

test('I4: a standby promoted with its failover slot begins the new epoch where the old one stopped: no change is lost', async () => {
  await using failover = await Failover.open('with_slot', { sync_replication_slots: true })
  const { products, standby } = failover
  const { ctx, source } = products
  await primary.configure({ synchronized_standby_slots: 'with_slot' })
  const old = await failover.startOld()
  await products.insert(1)
  await products.published(1, 1)
  const synced = 'select 1 from pg_replication_slots where slot_name = $1 and synced and not temporary'
  await ctx.untilTrue('the slot is on the standby', async () => {
    // The standby's copy is kept once a snapshot of what runs has been replayed.
    await primary.query('select pg_log_standby_snapshot()')
    return (await standby.query(synced, [source.slot])).length === 1
  })
  const tooEarly = failover.startNew()
  await ctx.untilTrue('a standby is no source yet', () => failover.logs('new', 'SOURCE_IN_RECOVERY') > 0)
  await tooEarly.stop()
  await old.stop()
  await products.insert(2)
  await failover.promote()
  failover.startNew()
  await products.published(2, 2)
  expect(products.causes()).toEqual(['first', 'timeline'])
  await failover.onNew("insert into product values (3, 'x')")
  await products.published(3, 2)
  await primary.configure({ synchronized_standby_slots: '' })
}, 120_000)

test('an abandoned primary stays out, though its publisher lives and its app writes, until an operator says otherwise', async () => {
  await using failover = await Failover.open('abandons')
  const { products } = failover
  const { ctx, source } = products
  await failover.startOld()
  await products.insert(1)
  await products.published(1, 1)
  await failover.promote()
  failover.startNew()
  await products.announced(2)
  await products.insert(99)
  await failover.onNew("insert into product values (2, 'x')")
  await products.published(2, 2)
  await ctx.untilTrue('it looks again and again', () => failover.logs('old', 'SOURCE_ABANDONED') >= 3)
  expect(ctx.keys()).toEqual(['product:1', 'product:2'])
  expect(failover.logs('new', 'opening the stream again')).toBe(0)
  expect(fromZombies(await readTopicLog(ctx.brokers, source.topic))).toEqual([])
  // The error says how: now it is the other one that is abandoned.
  await ctx.sql.query('delete from tidemark.epoch where source = $1', [source.name])
  await products.announced(3)
  await ctx.untilTrue('the other one stays out', () => failover.logs('new', 'SOURCE_ABANDONED') >= 3)
  await products.insert(100)
  await products.published(100, 3)
  expect([...failover.announced()].map(([epoch, timelines]) => [epoch, [...timelines]])).toEqual([
    [1, [1]],
    [2, [2]],
    [3, [1]],
  ])
})

test('I4: two sides of a failover that open at the same instant, again and again, never have one epoch', async () => {
  await using failover = await Failover.open('both_sides')
  const { products } = failover
  const { ctx, source } = products
  const first = await failover.startOld()
  await first.stop()
  await failover.promote()
  /** The epochs that readers of either side have seen. */
  const seen: Record<'old' | 'new', number[]> = { old: [], new: [] }
  const finished = `select epoch from tidemark.epoch where source = '${source.name}' and start_lsn is not null`
  for (let round = 1; round <= 6; round++) {
    // With no epoch at all both think that they may open the next one.
    await ctx.sql.query('delete from tidemark.epoch')
    await failover.onNew('delete from tidemark.epoch')
    const before = Math.max(...failover.announced().keys())
    const running = [failover.startNew(), ctx.start(source, { ...QUICK, log: ctx.log.child({ side: 'old' }) })]
    const settled = () => ctx.records.some((r) => r.kind === 'watermark' && epochOf(r.position) > before)
    await ctx.untilTrue('one of them publishes', settled)
    await Promise.all(running.map((publisher) => publisher.stop()))
    seen.old.push(...(await ctx.sql.query<{ epoch: number }>(finished)).rows.map((row) => row.epoch))
    seen.new.push(...(await failover.onNew(finished)).map((row) => Number(row.epoch)))
  }
  expect(seen.old.filter((epoch) => seen.new.includes(epoch))).toEqual([])
  expect(seen.old.length + seen.new.length).toBeGreaterThanOrEqual(6)
  for (const timelines of failover.announced().values()) expect(timelines.size).toBe(1)
  expect(fromZombies(await readTopicLog(ctx.brokers, source.topic))).toEqual([])
}, 120_000)
