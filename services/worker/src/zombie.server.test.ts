import { expect, test } from '@jest/globals'
import { TcpProxy, waitUntil } from '@tidemark/local'
import { at, record } from './testing/record-words.ts'
import { RegionContext } from './testing/region-context.ts'
import { WorkerProcess } from './testing/worker-process.ts'

// A worker that has lost its partitions and does not know it yet; the README says where the rest of what it could do
// is tested.

/** How many scripts this Redis has run. */
async function scriptsRun(ctx: RegionContext): Promise<number> {
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await ctx.redis.info('commandstats'))?.[1] ?? 0)
}

test('I4: a script that was sent before a pause and runs after it changes nothing', async () => {
  await using ctx = await RegionContext.open()
  await using line = await TcpProxy.start(ctx.server.port)
  const redisUrl = `redis://127.0.0.1:${line.port}`
  ctx.start({ redisTimeoutMs: 300, redisPatienceMs: 600 }, { redisUrl })
  await ctx.untilTrusted(record.watermark(100))
  await ctx.fill('product:1', 'product', at(100))

  line.silence({ directions: ['to-server'] })
  const sent = await ctx.publish(0, record.event('product:1', 110), record.watermark(120))
  await waitUntil('the zombie gives up', async () => (await ctx.members()) === 0, { timeoutMs: 20_000 })
  ctx.start()
  await ctx.untilOffset(sent + 2n)
  await ctx.fill('product:1', 'product', at(120))
  const heirs = await ctx.untilOffset((await ctx.publish(0, record.watermark(130))) + 1n)

  const before = await scriptsRun(ctx)
  await line.restore()
  await waitUntil('the late script has run', async () => (await scriptsRun(ctx)) > before, { timeoutMs: 20_000 })
  expect(await ctx.view()).toEqual(heirs)
  expect((await ctx.guard().look('product:1')).cell).toMatchObject({ state: 'live' })
})

test('I4: a worker that wakes up after another took over changes nothing, nor the offsets that Kafka shows', async () => {
  await using ctx = await RegionContext.open()
  await using frozen = await WorkerProcess.start(ctx)
  await ctx.untilTrusted(record.watermark(100))
  frozen.freeze()
  ctx.start()
  const offset = await ctx.publish(0, record.event('product:1', 110), record.watermark(120))
  const taken = await ctx.untilOffset(offset + 2n)
  await waitUntil('it is mirrored', async () => (await ctx.mirrored()) === offset + 2n, { timeoutMs: 20_000 })
  frozen.thaw()
  await waitUntil('it is back in the group', async () => (await ctx.members()) === 2, { timeoutMs: 20_000 })
  const next = await ctx.publish(0, record.watermark(130))
  const view = await ctx.untilOffset(next + 1n)
  expect(view).toMatchObject({ watermark: at(130), newest: taken.newest, floors: taken.floors })
  expect(view.gap).toBeUndefined()
  expect(await ctx.mirrored()).toBeGreaterThanOrEqual(offset + 2n)
})
