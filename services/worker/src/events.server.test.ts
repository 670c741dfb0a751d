import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { Health, startTelemetry, type Telemetry } from '@tidemark/telemetry'
import { at, record } from './testing/record-words.ts'
import { RegionContext } from './testing/region-context.ts'

let ctx: RegionContext
let telemetry: Telemetry
const trusted = record.watermark(100)

beforeAll(async () => {
  ctx = await RegionContext.open()
  const health = new Health()
  telemetry = await startTelemetry({ service: 'worker-test', port: 0, health })
  ctx.start({ stallMs: 500 }, { health })
  await ctx.untilTrusted(trusted)
})

afterAll(async () => {
  await telemetry?.stop()
  await ctx?.[Symbol.asyncDispose]()
})

async function scrape(path = '/metrics'): Promise<string> {
  return (await fetch(`http://127.0.0.1:${telemetry.port}${path}`)).text()
}

async function untilCounted(line: RegExp): Promise<void> {
  await waitUntil(`the scrape has ${line}`, async () => line.test(await scrape()), { timeoutMs: 10_000 })
}

describe('I2: an event that is applied', () => {
  test('removes a live value that does not cover it', async () => {
    await ctx.fill('product:1', 'product', at(100))
    await ctx.untilOffset((await ctx.publish(0, record.event('product:1', 110))) + 1n)
    expect((await ctx.guard().look('product:1')).cell).toBeNull()
    await untilCounted(/tidemark_worker_events_total\{.*keyspace="product".*outcome="removed"\} 1/)
  })

  test('keeps a live value that covers it', async () => {
    await ctx.fill('product:2', 'product', at(121))
    await ctx.untilOffset((await ctx.publish(0, record.event('product:2', 120))) + 1n)
    expect((await ctx.guard().look('product:2')).cell).toMatchObject({ state: 'live' })
    await untilCounted(/tidemark_worker_events_total\{.*keyspace="product".*outcome="kept"\} 1/)
  })

  test('leaves a tombstone for an absent key, so that an older value cannot be stored later', async () => {
    await ctx.untilOffset((await ctx.publish(0, record.event('product:3', 130))) + 1n)
    expect(await ctx.fill('product:3', 'product', at(130))).toMatchObject({ code: 'stale' })
    expect(await ctx.fill('product:3', 'product', at(131))).toEqual({ code: 'stored' })
  })

  test('retains the value as stale where the contract says so', async () => {
    await ctx.fill('article:1', 'article', at(100))
    await ctx.untilOffset((await ctx.publish(0, record.event('article:1', 140))) + 1n)
    expect((await ctx.guard().look('article:1')).cell).toMatchObject({ state: 'stale' })
    await untilCounted(/tidemark_worker_events_total\{.*keyspace="article".*outcome="retained"\} 1/)
  })

  test('of a keyspace that the configuration does not name removes the value', async () => {
    await ctx.fill('stranger:1', 'stranger', at(100))
    await ctx.untilOffset((await ctx.publish(0, record.event('stranger:1', 150))) + 1n)
    expect((await ctx.guard().look('stranger:1')).cell).toBeNull()
    await untilCounted(/tidemark_worker_events_total\{.*keyspace="unknown".*outcome="removed"\} 1/)
  })

  test('of a tag is remembered under the tag’s key, and counted by its name', async () => {
    await ctx.untilOffset((await ctx.publish(0, record.event('tag:sale', 160))) + 1n)
    expect(await ctx.fill('tag:sale', 'tag', at(160))).toMatchObject({ code: 'stale' })
    await untilCounted(/tidemark_worker_events_total\{.*keyspace="tag".*outcome="absent"\} 1/)
  })

  test('of an ended epoch is refused and counted', async () => {
    await ctx.fill('product:4', 'product', at(200))
    await ctx.untilOffset((await ctx.publish(0, record.epoch(2, 10), record.event('product:4', 999, 1))) + 2n)
    expect((await ctx.guard().look('product:4')).cell).toMatchObject({ state: 'live' })
    await untilCounted(/tidemark_worker_old_epoch_refused_total\{.*\} 1/)
  })
})

test('a floor makes values of its keyspace stale at once', async () => {
  const view = await ctx.untilOffset((await ctx.publish(0, record.floor('article', 300, 2))) + 1n)
  expect(view.floors.article).toBe(at(300, 2))
})

test('lags are measured from the commit, gaps are counted by cause, and nothing has gone back', async () => {
  await untilCounted(/invalidation_lag_seconds_count\{.*keyspace="product".*\} [1-9]/)
  await untilCounted(/tidemark_worker_gaps_total\{.*cause="view-missing".*\} 1/)
  await untilCounted(/kafka_consumer_lag\{.*\} 0/)
  await untilCounted(/cache_version_regression_total\{.*\} 0/)
})

test('the offsets are mirrored into the consumer group, for those who watch Kafka alone', async () => {
  const mirrored = async () => {
    await ctx.publish(0, record.watermark(400, 2))
    return (await ctx.mirrored()) > 0n
  }
  await waitUntil('the group has an offset', mirrored, { timeoutMs: 15_000, everyMs: 200 })
})

test('a worker is ready while beats come, says why and since when it is not, and is ready again', async () => {
  const ready = async () => JSON.parse(await scrape('/readyz')) as { ready: boolean; failing: { reason: string }[] }
  await ctx.publish(0, record.watermark(410, 2))
  await waitUntil('it is ready', async () => (await ready()).ready, { timeoutMs: 10_000 })
  await waitUntil('it is stalled', async () => !(await ready()).ready, { timeoutMs: 10_000 })
  expect((await ready()).failing).toEqual([
    {
      check: 'beats',
      reason: expect.stringMatching(/^cut off since .*Z \(\d+ ms\): no beat on partitions 0; in alarm/),
      since: expect.any(String),
    },
  ])
  // A publisher of an ended epoch still writes: that is no beat.
  await ctx.untilOffset((await ctx.publish(0, record.watermark(999, 1))) + 1n)
  expect((await ready()).ready).toBe(false)
  await ctx.publish(0, record.watermark(420, 2))
  await waitUntil('it is ready again', async () => (await ready()).ready, { timeoutMs: 10_000 })
})

test('I6: a watermark that is taken back in a Redis that was not restored is told', async () => {
  const key = `${ctx.source.keyPrefix}.view:{0}`
  const view = JSON.parse((await ctx.redis.get(key))!) as Record<string, unknown>
  await ctx.redis.set(key, JSON.stringify({ ...view, watermark: at(1) }))
  const told = async () => {
    await ctx.publish(0, record.event('product:5', 440, 2))
    return /cache_version_regression_total\{.*\} 1/.test(await scrape())
  }
  await waitUntil('the regression is counted', told, { timeoutMs: 10_000, everyMs: 300 })
})
