import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { seedOf } from '../seeded-random.ts'
import { reportText } from './eviction-report.ts'
import { runEviction } from './eviction-run.ts'
import { EvictionStage } from './eviction-stage.ts'

// Some seconds of what `eviction.long.test.ts` does for minutes.

const SEED = seedOf(process.env.TIDEMARK_SEED)
const BRIEF = { roomMb: 0.5, settlingReads: 0, reads: 500, seed: SEED }

let stage: EvictionStage

beforeAll(async () => {
  stage = await EvictionStage.open()
}, 60_000)

afterAll(() => stage?.[Symbol.asyncDispose]())

/** allkeys-lru finds views and tombstones in use and leaves them alone; allkeys-random takes what it meets. */
test('I2, I3: with three times as much data as memory, whatever is evicted, nothing stale is served', async () => {
  const report = await runEviction(stage, { ...BRIEF, policies: ['allkeys-lru', 'allkeys-random'] })
  console.info(`seed ${SEED} (TIDEMARK_SEED)\n${reportText(report)}`)
  expect(report.falsehoods).toEqual([])
  expect(report.staleAtRest.guarded).toBe(0)
  const [lru, random] = report.phases
  expect(lru!.evicted.guarded.cell).toBeGreaterThan(30)
  // Or nothing was tried.
  expect(random!.evicted.guarded.view + random!.evicted.guarded.generation).toBeGreaterThan(0)
}, 240_000)
