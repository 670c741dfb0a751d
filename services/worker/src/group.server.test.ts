import { expect, test } from '@jest/globals'
import { DEFAULT_TOMBSTONE_LIMITS } from '@tidemark/guard'
import { waitUntil } from '@tidemark/local'
import { planBatches } from './batch.ts'
import { at, fetched, record } from './testing/record-words.ts'
import { RegionContext } from './testing/region-context.ts'
import { WorkerProcess } from './testing/worker-process.ts'

const PARTITIONS = [0, 1, 2, 3]

test('a worker that is stopped finishes in good order, and the next one goes on where Redis stands', async () => {
  await using ctx = await RegionContext.open()
  const first = ctx.start()
  await ctx.untilTrusted(record.watermark(100))
  await ctx.fill('product:1', 'product', at(100))
  await first.stop()
  expect(await ctx.members()).toBe(0)

  const offset = await ctx.publish(0, record.event('product:1', 110), record.watermark(120))
  ctx.start()
  const view = await ctx.untilOffset(offset + 2n)
  expect(view).toMatchObject({ watermark: at(120), floors: { '*': at(100) } })
  expect((await ctx.guard().look('product:1')).cell).toBeNull()
})

test('I4: a worker that is killed is followed by one that goes on where Redis stands', async () => {
  await using ctx = await RegionContext.open()
  await using killed = await WorkerProcess.start(ctx)
  await ctx.untilTrusted(record.watermark(100))
  await ctx.fill('product:1', 'product', at(100))
  await killed.kill()

  const offset = await ctx.publish(0, record.event('product:1', 110), record.watermark(120))
  ctx.start()
  const view = await ctx.untilOffset(offset + 2n)
  expect(view).toMatchObject({ watermark: at(120), floors: { '*': at(100) } })
  expect((await ctx.guard().look('product:1')).cell).toBeNull()
})

test('a process that is asked to end leaves the group and says 0', async () => {
  await using ctx = await RegionContext.open()
  await using worker = await WorkerProcess.start(ctx)
  await ctx.untilTrusted(record.watermark(100))
  expect(await worker.terminate()).toBe(0)
  expect(await ctx.members()).toBe(0)
})

test('I4: two workers share the partitions, and one takes over from the other without a gap', async () => {
  await using ctx = await RegionContext.open({ partitions: PARTITIONS.length })
  const first = ctx.start()
  for (const p of PARTITIONS) await ctx.untilTrusted(record.watermark(100), p)

  // Records keep coming while the group rebalances, twice.
  await using stream = ctx.streamWatermarks(PARTITIONS, 101)
  ctx.start()
  await waitUntil('both are in the group', async () => (await ctx.members()) === 2, { timeoutMs: 20_000 })
  await stream.untilApplied()
  await first.stop()
  await stream.untilApplied()
  for (const p of PARTITIONS) {
    const view = await ctx.view(p)
    expect(view!.gap).toBeUndefined()
    expect(view!.floors).toEqual({ '*': at(100) })
  }
})

test('I4: a batch that a worker applies after it lost the partition is refused by Redis', async () => {
  await using ctx = await RegionContext.open()
  ctx.start()
  await ctx.untilTrusted(record.watermark(100))
  const offset = await ctx.publish(0, record.watermark(120), record.watermark(130))
  const before = await ctx.untilOffset(offset + 2n)
  const inHand = fetched(offset, record.event('product:1', 125), record.watermark(999))
  const [late] = [...planBatches(inHand, { maxEvents: 500, maxBytes: 1_048_576, contractOf: () => undefined })]
  const applied = late?.kind === 'batch' ? await ctx.guard().apply(late.batch, DEFAULT_TOMBSTONE_LIMITS) : null
  expect(applied).toEqual({ code: 'seek', offset: offset + 2n })
  expect(await ctx.view()).toEqual(before)
})

test('TOPIC_MISMATCH: a topic with another number of partitions is not consumed', async () => {
  await using ctx = await RegionContext.open({ partitions: 1 })
  await ctx.admin.createPartitions({ topicPartitions: [{ topic: ctx.source.topic, count: 2 }] })
  await expect(ctx.start().ended).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' })
})
