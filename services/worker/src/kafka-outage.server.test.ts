import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { KafkaServer, waitUntil } from '@tidemark/local'
import { pino } from 'pino'
import { at, record } from './testing/record-words.ts'
import { RegionContext } from './testing/region-context.ts'
import { ToldWorker } from './testing/told-worker.ts'

let kafka: KafkaServer

beforeAll(async () => {
  kafka = await KafkaServer.start()
})

afterAll(async () => {
  await kafka?.[Symbol.asyncDispose]()
})

test('a Kafka that is killed and comes back is consumed again from where Redis stands', async () => {
  await using ctx = await RegionContext.open({ kafka })
  ctx.start()
  await ctx.untilTrusted(record.watermark(100))
  await ctx.fill('product:1', 'product', at(100))
  await kafka.kill()
  await kafka.start()

  const offset = await ctx.publish(0, record.event('product:1', 110), record.watermark(120))
  const view = await ctx.untilOffset(offset + 2n)
  expect(view).toMatchObject({ watermark: at(120), floors: { '*': at(100) } })
  expect(view.gap).toBeUndefined()
  expect((await ctx.guard().look('product:1')).cell).toBeNull()
})

test('a worker that has lost its Kafka keeps telling since when the region is cut off, and once that it is over', async () => {
  await using ctx = await RegionContext.open({ kafka })
  await using told = await ToldWorker.start(ctx, { stallMs: 1_000, kafkaSilenceMs: 1_500, kafkaSessionMs: 1_000 })
  await ctx.untilTrusted(record.watermark(100))
  await told.untilReadyWith(ctx.streamWatermarks([0], 101))
  kafka.pause()
  try {
    await told.untilUnready(/^cut off since/)
    const isRestarting = () => told.lines.some(({ text }) => text.includes('starting again'))
    await waitUntil('the client is given up', isRestarting, { timeoutMs: 20_000 })
    expect(await told.unready()).toMatch(/^cut off since .*: no beat on partitions 0/)
    expect(await told.reading('tidemark_worker_beat_age_seconds{region="test"}')).toBeGreaterThan(1.5)
    expect(await told.reading('tidemark_worker_view_age_seconds{region="test"}')).toBeGreaterThan(1.5)
    expect(await told.reading('kafka_consumer_lag{region="test"}')).toBeUndefined()
  } finally {
    kafka.resume()
  }
  await using _ = ctx.streamWatermarks([0], 5_000)
  await told.untilReady()
  await waitUntil('the log has it', () => told.delays().includes('info: current again'), { timeoutMs: 10_000 })
  expect(told.delays().filter((line) => line.includes('cut off')).length).toBeLessThanOrEqual(2)
})

test('a Kafka that falls silent without closing a connection is left for a new client', async () => {
  await using ctx = await RegionContext.open({ kafka })
  const lines: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
  ctx.start({ kafkaSilenceMs: 3_000 }, { log })
  await ctx.untilTrusted(record.watermark(100))
  kafka.pause()
  try {
    const isLeft = () =>
      lines.some((line) => line.includes('no sign of life from Kafka') && line.includes('new Kafka client'))
    await waitUntil('the client is given up', isLeft, { timeoutMs: 20_000 })
  } finally {
    kafka.resume()
  }
  const offset = await ctx.publish(0, record.watermark(120))
  expect(await ctx.untilOffset(offset + 1n)).toMatchObject({ watermark: at(120), floors: { '*': at(100) } })
})
