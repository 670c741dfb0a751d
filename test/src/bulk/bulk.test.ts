import { expect, test } from '@jest/globals'
import { bulkReport, MAX_GROWTH_MB, reportText } from './bulk-scenario.ts'

/** More than other tests beside this one can hold a process up for; bulk.long.test.ts, alone, allows less than a decoding takes. */
const SILENCE_MS = 15_000

test('transactions of 300,000 rows become floors in bounded memory', async () => {
  const report = await bulkReport(300_000, ['inserted', 'inserted, rolled back'], SILENCE_MS)
  process.stderr.write(`${reportText(report)}\n`)
  expect(report).toMatchObject({ floors: ['pairs', 'rows'], events: 0, restarts: 0 })
  for (const { peakMb } of report.passages) expect(peakMb - report.idlePeakMb).toBeLessThanOrEqual(MAX_GROWTH_MB)
})
