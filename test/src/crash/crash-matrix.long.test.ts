import { expect, test } from '@jest/globals'
import { seedOf } from '../seeded-random.ts'
import { playMatrix, unreached } from './crash-matrix.ts'
import { FULL_DECK } from './crash-schedule.ts'

const SCHEDULES = Number(process.env.TIDEMARK_SCHEDULES || 100)

test(`I4 ${SCHEDULES} random schedules of kills at step boundaries: every commit is in Kafka, in order, before its watermark`, async () => {
  const seed = seedOf(process.env.TIDEMARK_SEED)
  console.info(`seed ${seed} (TIDEMARK_SEED), ${SCHEDULES} schedules (TIDEMARK_SCHEDULES)`)
  const report = await playMatrix(seed, SCHEDULES, (message) => process.stderr.write(`${message}\n`))
  console.info(JSON.stringify(report, null, 2))
  expect(report.breaches).toEqual([])
  if (SCHEDULES >= FULL_DECK) expect(unreached(report)).toEqual([])
}, 3_600_000)
