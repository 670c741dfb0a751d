import { expect, test } from '@jest/globals'
import { MAX_DISK_MB, MAX_RETAINED_MB, walReportText, writeBesideIdlePublication } from './wal-retained.ts'

test('an idle publication beside a busy table that is not published keeps no more log, however much is written', async () => {
  const report = await writeBesideIdlePublication(400)
  process.stderr.write(`${walReportText(report)}\n`)
  expect(report.peakRetainedMb).toBeLessThan(MAX_RETAINED_MB)
  expect(report.peakDiskMb).toBeLessThan(MAX_DISK_MB)
  expect(report.writtenMb).toBeGreaterThan(2 * report.peakDiskMb)
}, 180_000)
