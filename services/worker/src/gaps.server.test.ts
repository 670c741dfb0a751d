import { expect, test } from '@jest/globals'
import { offsetOf } from '@tidemark/guard'
import { waitUntil } from '@tidemark/local'
import { pino } from 'pino'
import { at, record } from './testing/record-words.ts'
import { RegionContext } from './testing/region-context.ts'

test('a first start opens a gap at the end of the log, and the first watermark from there on closes it', async () => {
  await using ctx = await RegionContext.open()
  await ctx.publish(0, record.watermark(100), record.event('product:1', 110), record.watermark(120))
  ctx.start()

  const untrusted = await ctx.untilView('there is a view', () => true)
  expect(untrusted).toMatchObject({ gap: 'view-missing', watermark: at(0, 0) })
  expect(offsetOf(untrusted)).toBe(3n)
  expect(await ctx.fill('product:1', 'product', at(500))).toEqual({ code: 'lease-lost' })

  const offset = await ctx.publish(0, record.watermark(130))
  const trusted = await ctx.untilOffset(offset + 1n)
  expect(trusted.gap).toBeUndefined()
  expect(trusted).toMatchObject({ watermark: at(130), horizon: at(130), floors: { '*': at(130) } })
})

test('a worker that is started before its topic waits for it', async () => {
  await using ctx = await RegionContext.open({ topic: false })
  const lines: string[] = []
  ctx.start({}, { log: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }) })
  const isTold = () => lines.some((line) => line.includes('there is no topic'))
  await waitUntil('it says what it waits for', isTold, { timeoutMs: 20_000 })
  await ctx.makeTopic()
  expect((await ctx.untilTrusted(record.watermark(100))).gap).toBeUndefined()
})

test('I3: a Redis that is emptied in mid-stream trusts nothing until the next watermark, then starts from there', async () => {
  await using ctx = await RegionContext.open()
  ctx.start()
  await ctx.untilTrusted(record.watermark(100))
  await ctx.publish(0, record.event('product:1', 110))
  await ctx.redis.flushall()

  // Whatever comes next tells the worker; here it is an event, which the gap swallows.
  await ctx.publish(0, record.event('product:2', 120))
  const untrusted = await ctx.untilView('the loss is noticed', () => true)
  expect(untrusted).toMatchObject({ gap: 'view-missing', watermark: at(0, 0) })

  const offset = await ctx.publish(0, record.watermark(130))
  const trusted = await ctx.untilOffset(offset + 1n)
  expect(trusted.gap).toBeUndefined()
  expect(trusted.floors).toEqual({ '*': at(130) })
  expect(await ctx.fill('product:2', 'product', at(129))).toMatchObject({ code: 'stale' })
  expect(await ctx.fill('product:2', 'product', at(130))).toEqual({ code: 'stored' })
})

test('I3: a Redis that comes back with an older snapshot gets everything since then once more', async () => {
  await using ctx = await RegionContext.open()
  ctx.start()
  await ctx.untilTrusted(record.watermark(100))
  await ctx.fill('product:1', 'product', at(100))
  const snapshot = `${ctx.server.dir}/older.rdb`
  await ctx.server.snapshotTo(snapshot)
  const older = await ctx.view()

  const offset = await ctx.publish(0, record.event('product:1', 110), record.watermark(120))
  const newer = await ctx.untilOffset(offset + 2n)
  await ctx.server.restoreFrom(snapshot)
  expect(await ctx.view()).toEqual(older)

  await ctx.publish(0, record.watermark(121))
  const replayed = await ctx.untilOffset(offset + 3n)
  expect(replayed).toMatchObject({ watermark: at(121), newest: newer.newest, floors: older!.floors })
  expect(replayed.gap).toBeUndefined()
  expect((await ctx.guard().look('product:1')).cell).toBeNull()
})

test('I4: a record that cannot be read is a gap, told with its place, and the partition goes on after it', async () => {
  await using ctx = await RegionContext.open()
  ctx.start()
  await ctx.untilTrusted(record.watermark(100))
  await ctx.fill('product:1', 'product', at(100))
  await ctx.publish(0, record.event('product:1', 110))
  const poison = await ctx.publishRaw(0, { key: null, value: Buffer.from('not ours') })
  const gap = await ctx.untilView('the gap is there', (view) => view.gap !== undefined)
  expect(gap.gap).toBe('record-malformed')
  expect(offsetOf(gap)).toBe(poison + 1n)
  expect((await ctx.guard().look('product:1')).cell).toBeNull()

  const offset = await ctx.publish(0, record.watermark(130))
  const trusted = await ctx.untilOffset(offset + 1n)
  expect(trusted.gap).toBeUndefined()
  expect(trusted.floors).toEqual({ '*': at(130) })
})

test('I4: offsets that retention removed while no worker was there are a gap, not skipped in silence', async () => {
  await using ctx = await RegionContext.open()
  const first = ctx.start()
  await ctx.untilTrusted(record.watermark(100))
  await ctx.fill('product:1', 'product', at(100))
  await first.stop()

  const lost = await ctx.publish(0, record.event('product:1', 110), record.watermark(120))
  const kept = await ctx.publish(0, record.watermark(121))
  await ctx.removeRecordsBefore(lost + 1n)
  expect(await ctx.doubt('product:1', 'product')).toBeNull()
  ctx.start()
  const gap = await ctx.untilView('the hole is noticed', (view) => view.gap !== undefined)
  expect(gap.gap).toBe('offset-gone')
  expect(offsetOf(gap)).toBe(kept + 1n)
  expect(await ctx.doubt('product:1', 'product')).toBe('gap')

  await ctx.publish(0, record.watermark(130))
  expect(await ctx.untilView('it is trusted again', (view) => view.gap === undefined)).toMatchObject({
    watermark: at(130),
    floors: { '*': at(130) },
  })
  // Its invalidation was among the records that are gone.
  expect(await ctx.doubt('product:1', 'product')).toBe('floor')
})

test('I7: a value whose invalidation retention removed is not served as fresh once the region is current again', async () => {
  await using ctx = await RegionContext.open()
  const first = ctx.start()
  await ctx.untilTrusted(record.watermark(100))
  await ctx.fill('product:1', 'product', at(100))
  await first.stop()
  await ctx.publish(0, record.event('product:1', 110))
  await ctx.removeRecordsBefore(await ctx.publish(0, record.watermark(120)))

  // Whatever offset the client of Kafka goes on at by itself, earliest or latest, there is a watermark beyond it.
  ctx.start()
  await using _ = ctx.streamWatermarks([0], 130)
  await ctx.untilView('it is current', (view) => view.gap === undefined && view.watermark >= at(130))
  expect(await ctx.doubt('product:1', 'product')).toBe('floor')
})

test('I4: offsets that retention removed under a worker whose Redis went back are a gap', async () => {
  await using ctx = await RegionContext.open()
  ctx.start()
  await ctx.untilTrusted(record.watermark(100))
  await ctx.fill('product:1', 'product', at(100))
  const snapshot = `${ctx.server.dir}/older.rdb`
  await ctx.server.snapshotTo(snapshot)
  const lost = await ctx.publish(0, record.event('product:1', 110), record.watermark(120))
  await ctx.untilOffset(lost + 2n)

  // Redis goes back to where Kafka no longer reaches.
  await ctx.removeRecordsBefore(lost + 1n)
  await ctx.server.restoreFrom(snapshot)
  await ctx.publish(0, record.watermark(121))
  await ctx.untilView('the hole is noticed', (view) => view.gap === 'offset-gone')
  await ctx.publish(0, record.watermark(130))
  expect(await ctx.untilView('it is trusted again', (view) => view.gap === undefined)).toMatchObject({
    floors: { '*': at(130) },
  })
  expect(await ctx.doubt('product:1', 'product')).toBe('floor')
})

test('I4: a topic that was made anew and is shorter than what was applied is a gap', async () => {
  await using ctx = await RegionContext.open()
  const first = ctx.start()
  await ctx.publish(0, ...Array.from({ length: 20 }, (_, i) => record.watermark(i)))
  await ctx.untilTrusted(record.watermark(100))
  await first.stop()
  await ctx.remakeTopic()

  ctx.start()
  await ctx.untilView('the loss is noticed', (view) => view.gap === 'offset-gone' && offsetOf(view) === 0n)
  await ctx.publish(0, record.watermark(130))
  await ctx.untilView('it is trusted again', (view) => view.gap === undefined)
})

test('a new epoch that is announced goes on without a gap; one that is not is a gap', async () => {
  await using ctx = await RegionContext.open()
  ctx.start()
  await ctx.untilTrusted(record.watermark(100))
  const offset = await ctx.publish(0, record.event('product:1', 110), record.epoch(2, 50), record.watermark(60, 2))
  const announced = await ctx.untilOffset(offset + 3n)
  expect(announced).toMatchObject({ epoch: '00000002', watermark: at(60, 2), floors: { '*': at(50, 2) } })
  expect(announced.gap).toBeUndefined()

  await ctx.publish(0, record.watermark(70, 3))
  await ctx.untilView('the epoch is missed', (view) => view.gap === 'epoch-unannounced')
  await ctx.publish(0, record.watermark(80, 3))
  const trusted = await ctx.untilView('it is trusted again', (view) => view.gap === undefined)
  expect(trusted).toMatchObject({ epoch: '00000003', watermark: at(80, 3) })
})

test('a worker whose Redis is away waits for it, applies what came meanwhile, and skips nothing', async () => {
  await using ctx = await RegionContext.open()
  ctx.start({ redisTimeoutMs: 200, redisPatienceMs: 500 })
  await ctx.untilTrusted(record.watermark(100))
  await ctx.fill('product:1', 'product', at(100))
  ctx.server.pause()
  const offset = await ctx.publish(0, record.event('product:1', 110), record.watermark(120))
  await waitUntil('the worker gives its partitions back', async () => (await ctx.members()) === 0, {
    timeoutMs: 20_000,
  })
  ctx.server.resume()
  expect(await ctx.untilOffset(offset + 2n)).toMatchObject({ watermark: at(120), floors: { '*': at(100) } })
  expect((await ctx.guard().look('product:1')).cell).toBeNull()
})
