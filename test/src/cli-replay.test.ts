import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { partitionKeys } from '@tidemark/guard'
import { waitUntil } from '@tidemark/local'
import { partitionOf } from '@tidemark/protocol'
import { Readers, staleCells } from './evidence/coherence-check.ts'
import { PipelineContext } from './pipeline/pipeline-context.ts'
import { tidemark } from './pipeline/tidemark-command.ts'
import { countUp } from './pipeline/writers.ts'

const IDS = [1, 2, 3, 4, 5, 6, 7, 8]

async function openPipeline(): Promise<PipelineContext> {
  const ctx = await PipelineContext.open()
  await ctx.start()
  await ctx.primary.query('insert into hot select id, 1 from unnest($1::int[]) id', [IDS])
  await ctx.caughtUp()
  return ctx
}

const keysOf = ({ source }: PipelineContext, id: number) =>
  partitionKeys(source.keyPrefix, partitionOf(`hot:${id}`, source.partitions))

const cellOf = (ctx: PipelineContext, id: number) => keysOf(ctx, id).cell(`hot:${id}`)

/** As a Redis that somebody wrote to by hand: the cells of before are back, live, and no tombstone is left. */
async function breakRegion(ctx: PipelineContext): Promise<void> {
  const counters = await ctx.counters({ replicas: [] })
  for (const id of IDS) await counters.get({ id })
  const before = await Promise.all(IDS.map((id) => ctx.redis.getBuffer(cellOf(ctx, id))))
  await ctx.primary.query('update hot set n = 2')
  await ctx.caughtUp()
  for (const [at, id] of IDS.entries()) {
    await ctx.redis.set(cellOf(ctx, id), before[at]!, 'PX', 600_000)
    await ctx.redis.del(...keysOf(ctx, id).generations)
  }
  // The harm is real: what is served as fresh is stale.
  expect(await counters.read({ id: 1 })).toMatchObject({ value: 1, freshness: 'fresh', from: 'redis' })
}

const replayArgs = (...more: string[]) => ['replay', '--region', 'eu-west', ...more]

test('I2 stale values that were put back by hand are gone after a replay, from a time as from a version', async () => {
  await using ctx = await openPipeline()
  for (const start of ['--from-time=10m-ago', '--from-version=1/0/0']) {
    await ctx.primary.query('update hot set n = 1')
    await ctx.caughtUp()
    await breakRegion(ctx)
    const plan = await tidemark(ctx, replayArgs(start))
    expect(plan).toMatchObject({ code: 10, stdout: expect.stringMatching(/eu-west: \d+ records to replay/) })
    expect(await (await ctx.counters()).read({ id: 1 })).toMatchObject({ value: 1, freshness: 'fresh' })

    const { code, stdout } = await tidemark(ctx, replayArgs(start, '--yes'))
    expect([start, code]).toEqual([start, 0])
    expect(stdout).toMatch(new RegExp(`${IDS.length} removed a value`))
    const counters = await ctx.counters({ replicas: [] })
    for (const id of IDS) expect(await counters.read({ id })).toMatchObject({ value: 2, from: 'primary' })
  }
}, 120_000)

test('I6 over a healthy region a replay of everything changes nothing: cells stay, the watermark is the worker’s', async () => {
  await using ctx = await PipelineContext.open()
  const publisher = ctx.startPublisher()
  const worker = ctx.startWorker()
  await ctx.caughtUp()
  await ctx.primary.query('insert into hot select id, 1 from unnest($1::int[]) id', [IDS])
  await ctx.primary.query('update hot set n = 2')
  await ctx.primary.query("select tidemark.invalidate($1, keyspaces => '{hot}')", [ctx.name])
  await ctx.caughtUp()
  const counters = await ctx.counters({ replicas: [] })
  for (const id of IDS) await counters.get({ id })
  await publisher.stop()
  await worker.stop()
  const before = await stateOf(ctx)
  const { code, stdout } = await tidemark(ctx, replayArgs('--from-offset', '0', '--yes', '--json'))
  const { figures } = JSON.parse(stdout) as { figures: { events: number; outcomes: Record<string, number> } }
  expect([code, figures.outcomes]).toEqual([0, { kept: figures.events }])
  expect(figures.events).toBeGreaterThanOrEqual(IDS.length)
  expect(await stateOf(ctx)).toEqual(before)
}, 120_000)

/** All that the region's Redis holds: cells as they are, views and tombstones by their fields. */
async function stateOf({ redis, source }: PipelineContext): Promise<ReadonlyMap<string, unknown>> {
  const keys = (await redis.keys(`${source.keyPrefix}*`)).sort()
  const contentOf = async (key: string): Promise<unknown> => {
    if (key.includes('.tombstones:')) return redis.hgetall(key)
    const text = await redis.get(key)
    return key.includes('.view:') ? JSON.parse(text!) : text
  }
  return new Map(await Promise.all(keys.map(async (key) => [key, await contentOf(key)] as const)))
}

test('I2 while a worker applies, writers write and a region is replayed over and over, nothing stale is served', async () => {
  await using ctx = await openPipeline()
  const readers = await Readers.start(ctx, IDS)
  await using writers = countUp(ctx.primary, IDS, 3, () => sleep(2))
  for (const start of ['--from-time=1h-ago', '--from-offset=0']) {
    const { code } = await tidemark(ctx, replayArgs(start, '--yes'))
    expect([start, code]).toEqual([start, 0])
  }
  await waitUntil('reads go on', () => readers.count > 500, { timeoutMs: 60_000 })
  await writers.stop()
  await ctx.caughtUp()
  const report = await readers.stop()
  expect(report.falsehoods).toEqual([])
  expect(report.from.redis).toBeGreaterThan(100)
  expect(await staleCells(ctx)).toEqual([])
}, 120_000)
