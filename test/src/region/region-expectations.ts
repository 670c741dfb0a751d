import { expect } from '@jest/globals'
import type { RegionReport } from './region-report.ts'
import type { RunOptions } from './region-run.ts'

/** A machine that is busy with other things keeps the schedule less well; the table says how well. */
const MIN_PACE = 0.5

export interface Expected {
  /** The cause of the gaps that have to be declared; else there may be none. */
  readonly gap?: string
}

/** What every scenario has to leave behind: nothing false was served or held, and the region is whole again. */
export function expectLawful(report: RegionReport, options: RunOptions, { gap }: Expected = {}): void {
  // The first few say enough.
  expect(report.breaches.slice(0, 10)).toEqual([])
  expect(report.failures).toEqual([])
  expect(report.regressions).toBe(0)
  expect([...new Set(report.gaps)]).toEqual(gap === undefined ? [] : [gap])
  // Or little was tried.
  expect(report.commitsPerSecond).toBeGreaterThan(MIN_PACE * options.commitsPerSecond)
  expect(report.hits).toBeGreaterThan(20)
  expect(report.samples).toBeGreaterThan(100)
  expect(report.freshCells).toBeGreaterThan(20)
}
