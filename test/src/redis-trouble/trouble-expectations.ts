import { expect } from '@jest/globals'
import type { PhaseReport } from './call-log.ts'
import type { Trouble, TroubleReport } from './trouble.ts'
import { PRIMARY_LIMIT, TIMINGS } from './troubled-shop.ts'

/** Turns of the event loop that a call takes, each of which may come as late as the loop itself was. */
const TURNS = 10

/** One command that has no answer, then a load's turn: 99 of 100 calls. No call waits for more than three commands. */
const P99_MS = TIMINGS.redisTimeoutMs + PRIMARY_LIMIT.waitMs
const MAX_MS = 3 * TIMINGS.redisTimeoutMs + TIMINGS.leaseWaitMs + PRIMARY_LIMIT.waitMs

/** What the machine is allowed beyond the time-outs: what it takes in health, and what it was late by then. */
function noiseMs(healthy: PhaseReport, phase: PhaseReport): number {
  return healthy.p99 + TURNS * phase.loopP99
}

/** What has to be true of a trouble and of the recovery from it. */
export function expectBounded(healthy: PhaseReport, trouble: Trouble, report: TroubleReport): void {
  for (const phase of [report.trouble, report.recovery]) {
    const noise = noiseMs(healthy, phase)
    const late = [phase.p99 > P99_MS + noise && `p99 ${phase.p99}`, phase.max > MAX_MS + noise && `max ${phase.max}`]
    expect([phase.phase, late.filter(Boolean)]).toEqual([phase.phase, []])
    expect([phase.phase, phase.calls > 100]).toEqual([phase.phase, true])
    expectEnds(phase)
    // A turn is given out at the limit's pace and taken as late as the event loop is.
    const most = PRIMARY_LIMIT.burst + PRIMARY_LIMIT.perSecond * (1 + (TURNS * phase.loopP99) / 1_000)
    expect([phase.phase, phase.loadsPerSecond <= most]).toEqual([phase.phase, true])
  }
  // One that was under way when Redis came back, and one under its lease.
  expect([report.recovery.phase, report.recovery.loadsPerKey <= 2]).toEqual([report.recovery.phase, true])
  if (trouble.isSilent) expect(report.circuit).toEqual(['redisCircuitOpened', 'redisCircuitClosed'])
  if (trouble.serves) expect(report.circuit).toEqual([])
  // A refused write may cost the client its connection, and some looks with it.
  if (trouble.serves) expect(report.trouble.ends['fresh from redis']! / report.trouble.calls).toBeGreaterThan(0.25)
}

/** A value that is fresh, or the contract's answer: nothing else, and no stale value. */
function expectEnds({ phase, ends }: PhaseReport): void {
  const allowed = ['fresh from redis', 'fresh from primary', 'UNPROVABLE (primary-limited)']
  expect([phase, Object.keys(ends).filter((end) => !allowed.includes(end))]).toEqual([phase, []])
}
