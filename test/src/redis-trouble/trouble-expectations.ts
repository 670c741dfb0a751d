import { expect } from '@jest/globals'
import type { PhaseReport } from './call-log.ts'
import type { Passage, Trouble, TroubleReport } from './trouble.ts'
import { APPS, PRIMARY_LIMIT, TIMINGS } from './troubled-shop.ts'

/** Turns of the event loop that a call takes, each of which may come as late as the loop itself was. */
const TURNS = 10
/** Of a miss that is stored: a look, a lease, a fill. */
const COMMANDS_OF_A_MISS = 3

/** What the timings leave 99 of 100 calls: one command that has no answer, or three slow ones, and a load's turn. */
function budgetMs({ isSlow }: Partial<Trouble>): number {
  return (isSlow ? COMMANDS_OF_A_MISS : 1) * TIMINGS.redisTimeoutMs + PRIMARY_LIMIT.waitMs
}

/** What the machine is allowed beyond the time-outs: what it takes in health, and what it was late by then. */
function noiseMs(healthy: PhaseReport, phase: PhaseReport): number {
  return healthy.p99 + TURNS * phase.loopP99
}

/** Loads that may begin in one second. A turn is given out at the limit's pace and taken as late as the event loop is. */
function mostLoads({ loopP99 }: PhaseReport): number {
  return APPS * (PRIMARY_LIMIT.burst + PRIMARY_LIMIT.perSecond * (1 + (TURNS * loopP99) / 1_000))
}

/** What has to be true of each trouble and of the recovery from it. */
export function expectBounded({ healthy, troubled }: Passage): void {
  told({ ...healthy, hungCalls: hung(healthy, healthy) })
  expect(healthy.ends['fresh from redis']).toBeGreaterThan(0)
  for (const [trouble, report] of troubled) {
    for (const phase of [report.trouble, report.recovery]) {
      const [budget, noise] = [budgetMs(phase === report.trouble ? trouble : {}), noiseMs(healthy, phase)]
      const hungCalls = hung(healthy, phase)
      told({ ...phase, budgetMs: budget, noiseMs: noise, readMs: TIMINGS.readMs, hungCalls, limit: mostLoads(phase) })
      const amiss = [
        phase.p99 > budget + noise && `p99 ${phase.p99}`,
        hungCalls > 0 && `${hungCalls} calls hung`,
        phase.calls <= 100 && `${phase.calls} calls`,
        phase.loadsPerSecond > mostLoads(phase) && `${phase.loadsPerSecond} loads in a second`,
        ...unlawfulEnds(phase),
      ]
      expect([phase.phase, amiss.filter(Boolean)]).toEqual([phase.phase, []])
    }
    expectRecovery(trouble, report)
  }
}

/** Calls that took longer than all that a call may wait for. */
function hung(healthy: PhaseReport, phase: PhaseReport): number {
  return phase.latencies.filter((ms) => ms > TIMINGS.readMs + noiseMs(healthy, phase)).length
}

/** No stampede: of a key one load under its lease, and of each app those of who had looked before. */
const MOST_LOADS_OF_A_KEY = 1 + 2 * APPS

function expectRecovery(trouble: Trouble, { recovery, circuits, trouble: during }: TroubleReport): void {
  expect([recovery.phase, recovery.loadsPerKey <= MOST_LOADS_OF_A_KEY]).toEqual([recovery.phase, true])
  const each = (event: string) => Array.from({ length: APPS }, () => event)
  if (trouble.isSilent) {
    expect(circuits.toSorted()).toEqual([...each('redisCircuitClosed'), ...each('redisCircuitOpened')])
  }
  if (!trouble.serves) return
  expect([trouble.name, circuits]).toEqual([trouble.name, []])
  // A refused write may cost the client its connection, and some looks with it.
  expect(during.ends['fresh from redis']! / during.calls).toBeGreaterThan(0.25)
}

/** A value that is fresh, or the contract's answer: nothing else, and no stale value. */
function unlawfulEnds({ ends }: PhaseReport): string[] {
  const allowed = ['fresh from redis', 'fresh from primary', 'UNPROVABLE (primary-limited)']
  return Object.keys(ends).filter((end) => !allowed.includes(end))
}

/** At once, for whoever waits: reporters tell only of the whole. */
function told({ latencies: _, ...report }: PhaseReport & Readonly<Record<string, unknown>>): void {
  process.stderr.write(`${JSON.stringify(report)}\n`)
}
