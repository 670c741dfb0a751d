import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { record } from './testing/record-words.ts'
import { RegionContext } from './testing/region-context.ts'
import { ToldWorker } from './testing/told-worker.ts'

const SINCE = 'since \\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z \\(\\d+ ms\\)'
const VIEW_AGE = 'tidemark_worker_view_age_seconds{region="test"}'
const BEAT_AGE = 'tidemark_worker_beat_age_seconds{region="test"}'
const GAPS_OPEN = 'tidemark_worker_gaps_open{region="test"}'
const alarm = (keyspace: string) => `tidemark_worker_staleness_alarm{region="test",keyspace="${keyspace}"}`

test('a region whose beats are old is behind, not cut off; its keyspaces are in alarm; then it is current again', async () => {
  await using ctx = await RegionContext.open()
  await using told = await ToldWorker.start(ctx, { stallMs: 3_000 })
  await ctx.untilView('there is a view', () => true)
  await told.untilReady()
  // A gap that no beat has closed yet: how old the view is cannot be known.
  await waitUntil('the gap is told', async () => (await told.reading(GAPS_OPEN)) === 1, { timeoutMs: 10_000 })
  expect(await told.reading(VIEW_AGE)).toBeUndefined()
  expect(await told.reading(alarm('product'))).toBe(0)

  await ctx.untilOffset((await ctx.publish(0, record.watermark(100, 1, Date.now() - 3_600_000))) + 1n)
  const reason = await told.untilUnready(/behind/)
  expect(reason).toMatch(
    new RegExp(`^behind ${SINCE}: beats come, .* on partitions 0; in alarm: product, article, tag$`),
  )
  expect(await told.reading(VIEW_AGE)).toBeGreaterThanOrEqual(3_600)
  expect(await told.reading(BEAT_AGE)).toBeLessThan(60)
  expect(await told.reading(alarm('product'))).toBe(1)
  expect(await told.reading(GAPS_OPEN)).toBe(0)
  await waitUntil('the log has it', () => told.delays().length === 1, { timeoutMs: 10_000 })

  await ctx.publish(0, record.watermark(200))
  await told.untilReady()
  await waitUntil('the log has it', () => told.delays().length === 2, { timeoutMs: 10_000 })
  expect(told.delays()).toEqual(['error: behind', 'info: current again'])
  expect(await told.reading(alarm('product'))).toBe(0)
})

test('a worker that has lost its Redis keeps telling since when the region is cut off', async () => {
  await using ctx = await RegionContext.open()
  await using told = await ToldWorker.start(ctx, { stallMs: 1_000, redisTimeoutMs: 200, redisPatienceMs: 400 })
  await ctx.untilTrusted(record.watermark(100))
  await told.untilReadyWith(ctx.streamWatermarks([0], 101))
  // A machine that is busy may have begun with a silence.
  await waitUntil('the log has that it is over', () => !told.delays().at(-1)?.endsWith('cut off'), {
    timeoutMs: 10_000,
  })
  const before = told.delays().length
  ctx.server.pause()
  const reason = await told.untilUnready(/cut off/)
  expect(reason).toMatch(new RegExp(`^cut off ${SINCE}: no beat on partitions 0; in alarm: no keyspace$`))
  await ctx.publish(0, record.watermark(5_000))
  // The client of Kafka is left and made anew meanwhile; what was known stays known.
  const isRestarting = () => told.lines.some(({ text }) => text.includes('starting again'))
  await waitUntil('the worker has given its partitions back', isRestarting, { timeoutMs: 20_000 })
  expect(await told.unready()).toMatch(/^cut off/)
  expect(await told.reading(BEAT_AGE)).toBeGreaterThan(1)
  expect(await told.reading(VIEW_AGE)).toBeGreaterThan(1)
  // The log looks once a second: an outage that is over before it has looked is none to it.
  await waitUntil('the log has it', () => told.delays().at(-1)?.endsWith('cut off') === true, { timeoutMs: 10_000 })
  expect(told.delays().slice(before)).not.toContain('info: current again')
  ctx.server.resume()
  await using _ = ctx.streamWatermarks([0], 6_000)
  await told.untilReady()
  await waitUntil('the log has it', () => told.delays().at(-1) === 'info: current again', { timeoutMs: 10_000 })
})
