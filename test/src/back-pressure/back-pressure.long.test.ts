import { expect, test } from '@jest/globals'
import { backPressure, MAX_CATCH_UP_GROWTH_MB, MAX_HELD_UP_GROWTH_MB } from './back-pressure.ts'

test('while Redis is slow or silent for a minute each, two million records wait in Kafka, not in the worker', async () => {
  const report = await backPressure({ records: 2_000_000, keyBytes: 100, phaseMs: 60_000 })
  process.stderr.write(`${JSON.stringify(report)}\n`)
  expect(report.appliedWhileSlow).toBeLessThan(1_000_000)
  expect(report.slowMb - report.idleMb).toBeLessThanOrEqual(MAX_HELD_UP_GROWTH_MB)
  expect(report.silentMb - report.idleMb).toBeLessThanOrEqual(MAX_HELD_UP_GROWTH_MB)
  expect(report.catchUpMb - report.idleMb).toBeLessThanOrEqual(MAX_CATCH_UP_GROWTH_MB)
})
