import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { PostgresServer } from '@tidemark/local'
import { epochOf } from '@tidemark/protocol'
import { Failover } from './testing/failover.ts'
import { QUICK } from './testing/products.ts'
import { fromZombies, readTopicLog } from './testing/topic-log.ts'

let primary: PostgresServer

beforeAll(async () => {
  primary = await PostgresServer.start({ durable: false })
}, 120_000)

afterAll(async () => {
  await primary?.[Symbol.asyncDispose]()
})

test('I4: a standby promoted without a failover slot begins a new epoch: nothing says what was missed', async () => {
  await using failover = await Failover.open(primary, 'without_slot')
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

test('an abandoned primary stays out, though its publisher lives and its app writes, until an operator says otherwise', async () => {
  await using failover = await Failover.open(primary, 'abandons')
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
  await using failover = await Failover.open(primary, 'both_sides')
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
