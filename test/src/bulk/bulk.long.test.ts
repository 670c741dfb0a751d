import { expect, test } from '@jest/globals'
import { bulkReport, KINDS, MAX_GROWTH_MB, reportText } from './bulk-scenario.ts'

/** Far less than the decoding of such a transaction takes. */
const SILENCE_MS = 2_000

test('transactions of ten million rows pass in the memory that those of one million need', async () => {
  for (const rows of [1_000_000, 10_000_000]) {
    const report = await bulkReport(rows, KINDS, SILENCE_MS)
    process.stderr.write(`${reportText(report)}\n`)
    expect(report).toMatchObject({ floors: ['pairs', 'rows'], events: 0, restarts: 0 })
    for (const { peakMb } of report.passages) expect(peakMb - report.idlePeakMb).toBeLessThanOrEqual(MAX_GROWTH_MB)
  }
})
