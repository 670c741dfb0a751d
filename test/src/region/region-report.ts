import type { Span } from './region.ts'
import { ageMs, breaches } from './region-check.ts'
import type { NotedReading, Refusal } from './region-readers.ts'
import { isPast, type RegionEvidence } from './region-run.ts'
import { KEYSPACES, type KeyspaceName } from './region-source.ts'

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
  /** What readers were shown while the fault lasted. */
  readonly shown: Readonly<Record<KeyspaceName, Shown>>
}

/** What the readers of one keyspace were shown in a stretch of time. */
export interface Shown {
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
    shown: Object.fromEntries(KEYSPACES.map((name) => [name, shownOf(evidence, name, fault)])) as RegionReport['shown'],
  }
}

/** What all workers have counted since then: a counter that is smaller than before began again at zero. */
export function counted(samples: RegionEvidence['workerSamples'], metric: string, sinceMs: number): number {
  let sum = 0
  for (const own of Map.groupBy(samples, ({ worker }) => worker).values()) {
    let before = 0
    for (const { metrics, atMs } of own) {
      const now = metrics[metric] ?? 0
      if (atMs >= sinceMs) sum += now < before ? now : now - before
      before = now
    }
  }
  return sum
}

function shownOf({ history, readings, refusals }: RegionEvidence, name: KeyspaceName, span: Span): Shown {
  const isIn = (r: NotedReading | Refusal) =>
    r.keyspace === name && r.beganMs >= span.fromMs && r.endedMs <= span.untilMs
  const own = readings.filter(isIn)
  const fresh = own.filter(({ freshness }) => freshness === 'fresh')
  const stale = own.filter(({ freshness }) => freshness === 'stale')
  const oldest = (of: readonly NotedReading[]) => of.reduce((max, r) => Math.max(max, ageMs(r, history)), 0)
  return {
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
  const rows = KEYSPACES.map((name) => {
    const s = shown[name]
    const counts = [String(s.freshFromRedis), String(s.freshLoaded), words(s.stale), words(s.refused)]
    return [name, ...counts, s.oldestFreshMs.toFixed(0), s.oldestStaleMs.toFixed(0)]
  })
  return table(SHOWN_HEADINGS, rows)
}

const SHOWN_HEADINGS = [
  ...['keyspace', 'fresh from Redis', 'fresh, loaded', 'stale', 'refused'],
  ...['oldest fresh ms', 'oldest stale ms'],
]

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  return [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
