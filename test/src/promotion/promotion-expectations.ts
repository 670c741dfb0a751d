import { expect } from '@jest/globals'
import type { PromotionReport } from './promotion-report.ts'

/** @param epochs as many as there were primaries, one a timeline: nobody goes back and forth */
export function expectNothingAbandoned(report: PromotionReport, epochs: number): void {
  console.info(report.summary)
  expect(report.falsehoods).toEqual([])
  expect(report.brokenPromises).toEqual([])
  expect(report.abandoned.after).toBe(0)
  expect(report.epochs).toEqual(Array.from({ length: epochs }, (_, i) => ({ epoch: i + 1, timeline: i + 1 })))
}
