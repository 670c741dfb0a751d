import { expect, test } from '@jest/globals'
import { bulkReport, MAX_GROWTH_MB, reportText } from './bulk-scenario.ts'

test('transactions of 300,000 rows become floors in bounded memory, and nobody is silent for too long meanwhile', async () => {
  const report = await bulkReport(300_000, ['inserted', 'inserted, rolled back'])
  process.stderr.write(`${reportText(report)}\n`)
  expect(report).toMatchObject({ floors: ['pairs', 'rows'], events: 0, restarts: 0 })
  for (const { peakMb } of report.passages) expect(peakMb - report.idlePeakMb).toBeLessThanOrEqual(MAX_GROWTH_MB)
})
