import { lsnOf, type Version } from '@tidemark/protocol'
import type { CommitHistory } from '../evidence/commit-history.ts'
import { breaches, type Commit } from '../evidence/topic-check.ts'
import type { TopicRecord } from '../evidence/topic-reader.ts'
import type { OutageEvidence } from './outage-run.ts'
import type { Sample } from './outage-watch.ts'

/** What an outage cost. */
export interface OutageReport {
  readonly outageSeconds: number
  /** With what was before and after it. */
  readonly seconds: number
  /** As the writers were told; the log may hold more. */
  readonly committed: number
  readonly commits: number
  /** Every breach of the protocol in what Kafka holds, in words: a commit that was lost, a watermark ahead of one. */
  readonly breaches: readonly string[]
  readonly events: number
  readonly duplicates: number
  readonly idleBytes: number
  readonly peakBytes: number
  /** The most under load until a fifth of the outage was over, and in its last fifth. */
  readonly earlyBytes: number
  readonly lateBytes: number
  readonly retainedPeakBytes: number
  readonly retainedAfterBytes: number
  /** From the end of the outage until every partition had a watermark past all that was committed by then. */
  readonly recoverySeconds: number
  /** And until no event came later than a second after its commit any more. */
  readonly promptSeconds: number
  readonly restarts: number
}

const PROMPT_MS = 1_000

export function reportOf(evidence: OutageEvidence): OutageReport {
  const { history, records, samples, writers, beganMs, endedMs, idleUntilMs, partitions, epochs, reasons } = evidence
  const commits = commitsOf(history)
  const events = firstEvents(records)
  const fifthMs = (endedMs - beganMs) / 5
  const during = (fromMs: number, toMs: number) => samples.filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
  const recorded = records.map(({ record, partition, offset }) => ({ ...record, partition, offset }))
  return {
    outageSeconds: (endedMs - beganMs) / 1000,
    seconds: writers.seconds,
    committed: writers.committed,
    commits: commits.length,
    breaches: breaches({ partitions, epochs, reasons, commits, records: recorded, confirmations: [] }),
    events: events.length,
    duplicates: records.filter(({ record }) => record.kind === 'event').length - events.length,
    idleBytes: peakOf(during(0, idleUntilMs), 'rssBytes'),
    peakBytes: peakOf(samples, 'rssBytes'),
    earlyBytes: peakOf(during(idleUntilMs, beganMs + fifthMs), 'rssBytes'),
    lateBytes: peakOf(during(endedMs - fifthMs, endedMs), 'rssBytes'),
    retainedPeakBytes: peakOf(samples, 'retainedBytes'),
    retainedAfterBytes: samples.at(-1)?.retainedBytes ?? 0,
    recoverySeconds: Math.max(0, recoveredMs(evidence) - endedMs) / 1000,
    promptSeconds: Math.max(0, promptMs(events) - endedMs) / 1000,
    restarts: evidence.restarts,
  }
}

/** What each commit owes, in commit order. */
function commitsOf(history: CommitHistory): Commit[] {
  const keys = new Map<Version, Map<string, string>>()
  for (const [id, commits] of history) {
    for (const { version } of commits) keys.set(version, (keys.get(version) ?? new Map()).set(`hot:${id}`, 'hot'))
  }
  return [...keys.keys()].sort().map((v) => ({ lsn: lsnOf(v), keys: keys.get(v)!, floors: new Set() }))
}

interface PublishedEvent {
  readonly committedMs: number
  readonly publishedMs: number
}

/** Each event when it came for the first time. */
function firstEvents(records: readonly TopicRecord[]): PublishedEvent[] {
  const seen = new Map<string, PublishedEvent>()
  for (const { record, timestampMs } of records) {
    if (record.kind !== 'event') continue
    const name = `${record.key} ${record.version}`
    if (!seen.has(name)) seen.set(name, { committedMs: Number(record.timeUs / 1000n), publishedMs: timestampMs })
  }
  return [...seen.values()]
}

/** When the last partition got a watermark past the end of the outage. */
function recoveredMs({ records, partitions, end }: OutageEvidence): number {
  const times = Array.from({ length: partitions }, (_, partition) =>
    records.find((r) => r.partition === partition && r.record.kind === 'watermark' && lsnOf(r.record.position) >= end),
  )
  return Math.max(...times.map((r) => r?.timestampMs ?? Number.POSITIVE_INFINITY))
}

/** When the last event was published that was late. */
function promptMs(events: readonly PublishedEvent[]): number {
  const late = events.filter((e) => e.publishedMs - e.committedMs > PROMPT_MS)
  return late.reduce((latest, e) => Math.max(latest, e.publishedMs), 0)
}

function peakOf(samples: readonly Sample[], what: 'rssBytes' | 'retainedBytes'): number {
  return samples.reduce((peak, sample) => Math.max(peak, sample[what] ?? 0), 0)
}

const MB = 1024 * 1024

/** Reports as a table, for people. */
export function tableOf(reports: ReadonlyMap<string, OutageReport>): string {
  const rows = [...reports].map(([name, r]) => [
    name,
    ...[r.outageSeconds, r.commits, r.commits / r.seconds, r.breaches.length, r.events, r.duplicates].map((n) =>
      n.toFixed(0),
    ),
    ...[r.idleBytes, r.earlyBytes, r.lateBytes, r.peakBytes].map((n) => (n / MB).toFixed(0)),
    ...[r.retainedPeakBytes, r.retainedAfterBytes].map((n) => (n / MB).toFixed(0)),
    ...[r.recoverySeconds, r.promptSeconds].map((n) => n.toFixed(1)),
    r.restarts.toFixed(0),
  ])
  const lines = [HEADINGS, HEADINGS.map(() => '---'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

const HEADINGS = [
  ...['outage', 's', 'commits', 'per s', 'lost', 'events', 'duplicates'],
  ...['idle MB', 'early MB', 'late MB', 'peak MB', 'WAL kept MB', 'after MB'],
  ...['recovery s', 'prompt after s', 'restarts'],
]
