import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { RedisServer, waitUntil } from '@tidemark/local'
import { Readers, staleCells } from './evidence/coherence-check.ts'
import { PipelineContext } from './pipeline/pipeline-context.ts'
import { countUp } from './pipeline/writers.ts'

const IDS = Array.from({ length: 40 }, (_, i) => i + 1)

/** Brings a fault about while rows are written and read; then nothing false was served, and nothing stale remains. */
async function survives(
  redis: RedisServer,
  fault: (context: PipelineContext, goOn: () => Promise<void>) => Promise<void>,
) {
  await using context = await PipelineContext.open({ servers: { redisUrl: redis.url } })
  await context.start()
  await context.primary.query('insert into hot select unnest($1::int[]), 0', [IDS])
  const readers = await Readers.start(context, IDS)
  await using writers = countUp(context.primary, IDS, 4, () => sleep(4))
  const goOn = async () => {
    const [reads, commits] = [readers.count + 200, writers.commits + 200]
    await waitUntil('reads and writes go on', () => readers.count > reads && writers.commits > commits, {
      timeoutMs: 60_000,
    })
  }
  await goOn()
  await fault(context, goOn)
  await goOn()
  await writers.stop()
  await context.caughtUp()
  const report = await readers.stop()
  console.info(`fresh ${report.fresh}, refused ${report.failures}, by source ${JSON.stringify(report.from)}`)
  expect(report.falsehoods).toEqual([])
  expect(report.from.redis).toBeGreaterThan(100)
  expect(await staleCells(context)).toEqual([])
}

test('I3 FLUSHALL in mid-stream: the watermark goes with the cells', async () => {
  await using redis = await RedisServer.start()
  await survives(redis, async (context) => {
    await context.redis.flushall()
  })
}, 120_000)

test('I3 a restart from an older snapshot: the watermark goes back with the cells, and the worker replays', async () => {
  await using redis = await RedisServer.start()
  await survives(redis, async (_, goOn) => {
    const snapshot = join(redis.dir, 'older.rdb')
    await redis.snapshotTo(snapshot)
    await goOn()
    await redis.restoreFrom(snapshot)
  })
}, 120_000)
