import { expect, test } from '@jest/globals'
import { backPressure, MAX_CATCH_UP_GROWTH_MB, MAX_HELD_UP_GROWTH_MB } from './back-pressure.ts'

test('while Redis is slow or silent, records wait in Kafka, not in the worker', async () => {
  const report = await backPressure({ records: 30_000, keyBytes: 1_000, phaseMs: 2_000 })
  process.stderr.write(`${JSON.stringify(report)}\n`)
  expect(report.appliedWhileSlow).toBeLessThan(20_000)
  expect(report.slowMb - report.idleMb).toBeLessThanOrEqual(MAX_HELD_UP_GROWTH_MB)
  expect(report.silentMb - report.idleMb).toBeLessThanOrEqual(MAX_HELD_UP_GROWTH_MB)
  expect(report.catchUpMb - report.idleMb).toBeLessThanOrEqual(MAX_CATCH_UP_GROWTH_MB)
}, 120_000)
