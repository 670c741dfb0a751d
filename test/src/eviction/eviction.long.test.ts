import { expect, test } from '@jest/globals'
import { seedOf } from '../seeded-random.ts'
import { reportText } from './eviction-report.ts'
import { runEviction } from './eviction-run.ts'
import { EvictionStage } from './eviction-stage.ts'

const SEED = seedOf(process.env.TIDEMARK_SEED)
const READS = Number(process.env.TIDEMARK_READS ?? 40_000)
const POLICIES = ['allkeys-lru', 'allkeys-lfu', 'allkeys-random', 'volatile-lru', 'volatile-ttl']

test('I2, I3: three times as much data as memory, under each policy that evicts: nothing stale is served', async () => {
  await using stage = await EvictionStage.open()
  const options = { policies: POLICIES, roomMb: 8, settlingReads: READS / 4, reads: READS, seed: SEED }
  const report = await runEviction(stage, options)
  process.stderr.write(`seed ${SEED} (TIDEMARK_SEED)\n${reportText(report)}\n`)
  expect(report.falsehoods).toEqual([])
  expect(report.refused).toBe(0)
  expect(report.staleAtRest.guarded).toBe(0)
  // The views and tombstones have no time to live.
  for (const phase of report.phases.filter(({ policy }) => policy.startsWith('volatile'))) {
    expect(phase).toMatchObject({ evicted: { guarded: { generation: 0, view: 0 } }, gaps: 0 })
  }
})
