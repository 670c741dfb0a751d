import { expect, test } from '@jest/globals'
import { seedOf } from '../seeded-random.ts'
import { playMatrix, unreached } from './crash-matrix.ts'
import { FULL_DECK } from './crash-schedule.ts'

test('I4 the publisher is killed at every step boundary: every commit is in Kafka, in order, before its watermark', async () => {
  const seed = seedOf(process.env.TIDEMARK_SEED)
  console.info(`seed ${seed} (TIDEMARK_SEED)`)
  const report = await playMatrix(seed, FULL_DECK)
  expect(report.breaches).toEqual([])
  expect(unreached(report)).toEqual([])
}, 600_000)
