import { randomOf } from '../seeded-random.ts'
import { CRASH_POINTS, type CrashPoint } from './crash-points.ts'
import { play } from './crash-scenario.ts'
import { type Schedule, schedulesOf } from './crash-schedule.ts'

/** What all schedules came to. */
export interface MatrixReport {
  readonly schedules: number
  /** By crash point, those that were never reached included. */
  readonly kills: Readonly<Record<string, number>>
  readonly commits: number
  readonly records: number
  readonly duplicates: number
  /** Each with the schedule that led to it. */
  readonly breaches: readonly string[]
}

/** Of each rule, in each schedule; more would say the same again. */
const MAX_BREACHES = 2

/** Plays `count` schedules of a seed, one after the other. */
export async function playMatrix(
  seed: number,
  count: number,
  onProgress: (message: string) => void = () => undefined,
): Promise<MatrixReport> {
  const random = randomOf(seed)
  const kills: Record<string, number> = Object.fromEntries(Object.keys(CRASH_POINTS).map((point) => [point, 0]))
  const total = { commits: 0, records: 0, duplicates: 0, breaches: [] as string[] }
  for (const [at, schedule] of schedulesOf(random, count).entries()) {
    const outcome = await play(schedule, random).catch((cause) => {
      throw new Error(`schedule ${at}: ${pointsOf(schedule)}`, { cause })
    })
    for (const { point } of schedule) kills[point]!++
    total.commits += outcome.commits
    total.records += outcome.records
    total.duplicates += outcome.duplicates
    const breaches = someOfEachRule(outcome.breaches)
    total.breaches.push(...breaches.map((breach) => `schedule ${at} (${pointsOf(schedule)}): ${breach}`))
    const { commits, records, duplicates } = outcome
    onProgress(`schedule ${at}: ${JSON.stringify({ kills: schedule.length, commits, records, duplicates, breaches })}`)
  }
  return { schedules: count, kills, ...total }
}

function someOfEachRule(breaches: readonly string[]): string[] {
  const byRule = Map.groupBy(breaches, (breach) => breach.split(':')[0])
  return [...byRule.values()].flatMap((of) => of.slice(0, MAX_BREACHES))
}

function pointsOf(schedule: Schedule): string {
  return schedule.map(({ point, hit }) => `${point} × ${hit}`).join(', ')
}

export function unreached(report: MatrixReport): CrashPoint[] {
  return (Object.keys(CRASH_POINTS) as CrashPoint[]).filter((point) => report.kills[point] === 0)
}
