import type { TimedCommit } from '../evidence/commit-history.ts'
import { ageMs } from '../evidence/reading-check.ts'
import type { Span } from './region.ts'
import { breaches } from './region-check.ts'
import type { NotedReading, Refusal } from './region-readers.ts'
import { isPast, type RegionEvidence } from './region-run.ts'
import { KEYSPACES, type KeyspaceName } from './region-source.ts'
import type { WorkerSample } from './worker-watch.ts'

/** What a scenario cost, and whether the protocol was kept. */
export interface RegionReport {
  readonly breaches: readonly string[]
  readonly faultSeconds: number
  readonly commits: number
  readonly commitsPerSecond: number
  /** From the end of the fault until every partition's watermark was past all that was committed by then. */
  readonly passedSeconds: number
  /** And until of each keyspace a value was served as fresh that included it. */
  readonly freshSeconds: number
  readonly readings: number
  /** Of the readings, those that came out of Redis as fresh. */
  readonly hits: number
  readonly samples: number
  readonly freshCells: number
  /** The causes of the gaps that the workers told of from the beginning of the fault on, one a partition. */
  readonly gaps: readonly string[]
  /** And as their metrics counted them. */
  readonly gapsCounted: number
  readonly regressions: number
  /** Reads that failed with another error than UNPROVABLE. */
  readonly failures: readonly string[]
  /** What the workers said while the fault lasted and after it. */
  readonly told: readonly Told[]
  /** What the log held when the fault ended of what was committed in it, by what it took to apply it. */
  readonly eventsPerSecond: number
  /** What readers were shown while the fault lasted, by keyspace and by whether a session asked for more. */
  readonly shown: readonly Shown[]
}

/** Something that a worker may say of itself: that it is not ready, or that a keyspace is in alarm. */
export interface Told {
  readonly what: string
  /** Why, in its own words, when it said so first; an alarm has none. */
  readonly reasons: readonly string[]
  /** After the beginning of the fault. */
  readonly afterSeconds: number
  /** After the end of the fault it said so for the last time; negative when that was before. */
  readonly endedSeconds: number
}

/** What the readers of one keyspace were shown in a stretch of time. */
export interface Shown {
  readonly keyspace: KeyspaceName
  readonly inSession: boolean
  readonly freshFromRedis: number
  readonly freshLoaded: number
  /** Said to be stale, by the doubt. */
  readonly stale: Readonly<Record<string, number>>
  /** Refused, by the code. */
  readonly refused: Readonly<Record<string, number>>
  /** How long ago the oldest of them had ceased to be true. */
  readonly oldestFreshMs: number
  readonly oldestStaleMs: number
}

export function reportOf(evidence: RegionEvidence): RegionReport {
  const { history, readings, refusals, samples, fault, end, passedMs, writers, workerSamples, workerLines } = evidence
  const freshAgain = KEYSPACES.map((name) => readings.find((r) => r.keyspace === name && isPast(r, end))!.endedMs)
  return {
    breaches: breaches(evidence),
    faultSeconds: (fault.untilMs - fault.fromMs) / 1000,
    commits: [...history.values()].reduce((sum, commits) => sum + commits.length, 0),
    commitsPerSecond: writers.committed / writers.seconds,
    passedSeconds: (passedMs - fault.untilMs) / 1000,
    freshSeconds: Math.max(0, Math.max(...freshAgain) - fault.untilMs) / 1000,
    readings: readings.length,
    hits: readings.filter(({ from, freshness }) => from === 'redis' && freshness === 'fresh').length,
    samples: samples.length,
    freshCells: evidence.freshCells,
    gaps: workerLines.flatMap(({ atMs, cause, msg }) =>
      cause && /^gap/.test(msg) && atMs >= fault.fromMs ? cause : [],
    ),
    gapsCounted: counted(workerSamples, 'tidemark_worker_gaps_total', fault.fromMs),
    regressions: counted(workerSamples, 'cache_version_regression_total', 0),
    failures: refusals.flatMap(({ code }) => (code === 'UNPROVABLE' ? [] : [String(code)])),
    told: toldIn(workerSamples, fault),
    eventsPerSecond: backlogOf(evidence) / ((passedMs - fault.untilMs) / 1000),
    shown: [false, true].flatMap((inSession) => KEYSPACES.map((name) => shownOf(evidence, name, inSession, fault))),
  }
}

/** What all workers have counted since then; every process counts from zero. */
function counted(samples: RegionEvidence['workerSamples'], metric: string, sinceMs: number): number {
  let sum = 0
  for (const own of Map.groupBy(samples, ({ pid }) => pid).values()) {
    const countAt = (sample: WorkerSample | undefined) => sample?.metrics[metric] ?? 0
    sum += countAt(own.at(-1)) - countAt(own.findLast(({ atMs }) => atMs < sinceMs))
  }
  return sum
}

function toldIn(samples: RegionEvidence['workerSamples'], { fromMs, untilMs }: Span): Told[] {
  const saying = samples
    .filter(({ atMs }) => atMs >= fromMs)
    .flatMap(({ atMs, ready, reasons, alarms }) => [
      ...(ready ? [] : [{ what: 'not ready', reasons, atMs }]),
      ...alarms.map((keyspace) => ({ what: `alarm for ${keyspace}`, reasons: [], atMs })),
    ])
  return Array.from(
    Map.groupBy(saying, ({ what }) => what),
    ([what, all]) => ({
      what,
      reasons: all[0]!.reasons,
      afterSeconds: (all[0]!.atMs - fromMs) / 1000,
      endedSeconds: (all.at(-1)!.atMs - untilMs) / 1000,
    }),
  )
}

/** A commit is an event of each keyspace. */
function backlogOf({ history, fault }: RegionEvidence): number {
  const isIn = ({ committedMs }: TimedCommit) => committedMs >= fault.fromMs && committedMs <= fault.untilMs
  return KEYSPACES.length * [...history.values()].reduce((sum, commits) => sum + commits.filter(isIn).length, 0)
}

function shownOf(
  { history, readings, refusals }: RegionEvidence,
  keyspace: KeyspaceName,
  inSession: boolean,
  { fromMs, untilMs }: Span,
): Shown {
  const isIn = (r: NotedReading | Refusal) =>
    r.keyspace === keyspace && r.inSession === inSession && r.beganMs >= fromMs && r.endedMs <= untilMs
  const own = readings.filter(isIn)
  const fresh = own.filter(({ freshness }) => freshness === 'fresh')
  const stale = own.filter(({ freshness }) => freshness === 'stale')
  const oldest = (of: readonly NotedReading[]) => of.reduce((max, r) => Math.max(max, ageMs(r, history)), 0)
  return {
    ...{ keyspace, inSession },
    freshFromRedis: fresh.filter(({ from }) => from === 'redis').length,
    freshLoaded: fresh.filter(({ from }) => from !== 'redis').length,
    stale: tally(stale.map(({ doubt }) => String(doubt))),
    refused: tally(refusals.filter(isIn).map(({ code }) => String(code))),
    oldestFreshMs: oldest(fresh),
    oldestStaleMs: oldest(stale),
  }
}

function tally(words: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    Array.from(
      Map.groupBy(words, (word) => word),
      ([word, all]) => [word, all.length],
    ),
  )
}

/** Reports as a table, for people. */
export function tableOf(reports: ReadonlyMap<string, RegionReport>): string {
  const rows = [...reports].map(([name, r]) => [
    name,
    ...[r.faultSeconds, r.commits, r.commitsPerSecond, r.readings, r.hits, r.samples].map((n) => n.toFixed(0)),
    ...[r.breaches.length, r.gaps.length].map((n) => n.toFixed(0)),
    ...[r.passedSeconds, r.freshSeconds].map((n) => n.toFixed(2)),
  ])
  return table(HEADINGS, rows)
}

const HEADINGS = [
  ...['scenario', 's', 'commits', 'per s', 'readings', 'fresh from Redis', 'samples'],
  ...['breaches', 'gaps', 'watermark recovers s', 'readings recover s'],
]

/** What readers were shown while the fault lasted, contract by contract. */
export function shownTableOf({ shown }: RegionReport): string {
  const words = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([word, n]) => `${word} ${n}`)
      .join(', ') || '–'
  const rows = shown.map((s) => {
    const counts = [String(s.freshFromRedis), String(s.freshLoaded), words(s.stale), words(s.refused)]
    return [
      s.inSession ? `${s.keyspace}, in a session` : s.keyspace,
      ...counts,
      s.oldestFreshMs.toFixed(0),
      s.oldestStaleMs.toFixed(0),
    ]
  })
  return table(SHOWN_HEADINGS, rows)
}

/** What the workers said, and how fast they caught up. */
export function toldTableOf({ told, eventsPerSecond, passedSeconds }: RegionReport): string {
  const rows = told.map(({ what, afterSeconds, endedSeconds }) => [
    what,
    afterSeconds.toFixed(1),
    endedSeconds.toFixed(1),
  ])
  // Where little had to be caught up with, a rate would be that of the looking.
  const rate = passedSeconds < 1 ? '' : `, ${eventsPerSecond.toFixed(0)} events/s`
  const caughtUp = `caught up in ${passedSeconds.toFixed(1)} s${rate}`
  return `${table(['a worker says', 's after the beginning', 'until s after the end'], rows)}\n\n${caughtUp}`
}

const SHOWN_HEADINGS = [
  ...['keyspace', 'fresh from Redis', 'fresh, loaded', 'stale', 'refused'],
  ...['oldest fresh ms', 'oldest stale ms'],
]

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  return [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** All of it, of one scenario. */
export function printed(name: string, report: RegionReport): string {
  return [tableOf(new Map([[name, report]])), shownTableOf(report), toldTableOf(report)].join('\n\n')
}
