import { expect } from '@jest/globals'
import type { OutageReport } from './outage-report.ts'
import { COMMITS_PER_SECOND, heapBytes, type OutageOptions } from './outage-run.ts'
import { OUTAGES, type Outage, type OutageName } from './outage-scenarios.ts'

const MAX_RECOVERY_SECONDS = 30
/** A machine that is busy with other things keeps the schedule less well; the table says how well. */
const MIN_PACE = 0.75

/** What every outage has to leave behind: all commits in Kafka, in order; memory and log as before; and soon. */
export function expectSurvived(name: OutageName, report: OutageReport, { maxBufferBytes }: OutageOptions): void {
  const { stopsWrites = false }: Outage = OUTAGES[name]
  // The first few say enough.
  expect(report.breaches.slice(0, 10)).toEqual([])
  const writableSeconds = report.seconds - (stopsWrites ? report.outageSeconds : 0)
  expect(report.committed / writableSeconds).toBeGreaterThan(MIN_PACE * COMMITS_PER_SECOND)
  expect(report.peakBytes).toBeLessThan(report.idleBytes + heapBytes(maxBufferBytes))
  // However long it lasts: its end needs no more than its beginning, but for what the buffer may hold.
  expect(report.lateBytes).toBeLessThan(report.earlyBytes + heapBytes(maxBufferBytes) / 2)
  // What has piled up is read more than twice as fast as it was written.
  expect(report.recoverySeconds).toBeLessThan(MAX_RECOVERY_SECONDS + report.outageSeconds / 2)
}
