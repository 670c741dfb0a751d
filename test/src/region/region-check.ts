import { floorOf, type View } from '@tidemark/guard'
import { covers, maxPosition, type Version } from '@tidemark/protocol'
import {
  type CommitHistory,
  commitOf,
  falsehoodOf,
  newestCovered,
  nextCommit,
  type TimedCommit,
} from '../evidence/commit-history.ts'
import type { PartitionSample, SampledKey } from './partition-samples.ts'
import type { Span } from './region.ts'
import type { NotedReading, SessionStep } from './region-readers.ts'
import type { RegionEvidence } from './region-run.ts'

type History = CommitHistory<TimedCommit>

/** What of the evidence can break a rule. */
export type Lawfulness = Pick<
  RegionEvidence,
  'source' | 'history' | 'readings' | 'sessions' | 'samples' | 'losses' | 'staleCells'
>

/** Every breach of the protocol in what was read and in what Redis held, in words, the rule first. */
export function breaches(evidence: Lawfulness): string[] {
  const { history, readings, sessions, samples, losses, staleCells, source } = evidence
  return [
    ...readings.flatMap((reading) => untrue(reading, history)),
    ...readings.flatMap((reading) => {
      const { maxStalenessMs } = source.keyspaces[reading.keyspace].contract
      return tooOld(reading, history, maxStalenessMs)
    }),
    ...sessions.flatMap((steps) => brokenPromises(steps, history)),
    ...samples.flatMap((sample) => unlawful(sample, history)),
    ...wentBack(samples, losses),
    ...staleCells.map((cell) => `I4: ${cell} remains`),
  ]
}

/** Whatever has a label claims something, also what is served as stale (I1). */
function untrue({ id, n, position, label, keyspace, from }: NotedReading, history: History): string[] {
  const falsehood = falsehoodOf({ id, n, position, label }, history)
  return falsehood === null ? [] : [`I1: ${keyspace}:${id} from ${from}: ${falsehood}`]
}

/**
 * How long ago the value of a reading had ceased to be the row's when the read began, in ms; 0 when it had not. The
 * clock is one. A commit's time is that of its record, an instant before it could be seen; the skew that the source
 * allows for, and that every age is taken longer by, is more than that instant.
 */
export function ageMs({ id, n, beganMs }: NotedReading, history: History): number {
  const next = nextCommit(history.get(id) ?? [], n)
  return next === undefined ? 0 : Math.max(0, beganMs - next.committedMs)
}

/** What is said to be fresh was the row's value within the time that its contract names (I7). */
function tooOld(reading: NotedReading, history: History, maxStalenessMs: number): string[] {
  const age = ageMs(reading, history)
  if (reading.freshness !== 'fresh' || age <= maxStalenessMs) return []
  const { keyspace, id, n, from, position } = reading
  return [`I7: ${keyspace}:${id} from ${from}: ${n} at ${position} said fresh ${Math.round(age)} ms after its end`]
}

/**
 * What a session wrote it reads again, and what it saw no later reading is behind, of that row or of another: what it
 * saw at one version it was promised all that was committed up to there.
 */
function brokenPromises(steps: readonly SessionStep[], history: History): string[] {
  const broken: string[] = []
  const known = new Map<string, number>()
  let seen: Version | undefined
  for (const step of steps) {
    const { id, n } = step.kind === 'wrote' ? step : step.reading
    if (step.kind === 'read' && step.reading.freshness === 'fresh') {
      const { keyspace, from } = step.reading
      const least = Math.max(known.get(id) ?? 0, newestUpTo(history, id, seen)?.n ?? 0)
      if (n < least) broken.push(`session: ${keyspace}:${id} from ${from}: ${n} after ${least} was known of`)
    }
    known.set(id, Math.max(known.get(id) ?? 0, n))
    const version = step.kind === 'read' ? commitOf(history.get(id) ?? [], n)?.version : undefined
    if (version !== undefined && (seen === undefined || version > seen)) seen = version
  }
  return broken
}

/** Of commits with that very version, too: one transaction writes one row here. */
function newestUpTo(history: History, id: string, seen: Version | undefined): TimedCommit | undefined {
  return seen === undefined ? undefined : newestCovered(history.get(id) ?? [], seen as string as View['watermark'])
}

/**
 * Every commit that the watermark covers has been applied in this Redis (I3): its tombstone is there, unless the horizon
 * or a floor stands for it; and no value lives that does not cover it (I2).
 */
function unlawful({ partition, view, keys }: PartitionSample, history: History): string[] {
  if (view === null || view.gap !== undefined) return []
  return keys.flatMap((sampled) => {
    const commits = history.get(String(sampled.key.id)) ?? []
    const covered = newestCovered(commits, view.watermark)
    if (covered === undefined) return []
    return faults(sampled, view, covered).map((fault) => {
      return `${fault}: ${sampled.key.key}, partition ${partition} at ${view.watermark}, offset ${view.offset}`
    })
  })
}

function faults({ key, cell, tombstone }: SampledKey, view: View, covered: TimedCommit): string[] {
  const floor = floorOf(view, key.keyspace)
  const found: string[] = []
  const isStoodFor = covers(maxPosition(view.horizon, floor), covered.version)
  if (!isStoodFor && (tombstone === null || tombstone < covered.version)) {
    found.push(`I3: the watermark covers ${covered.version}, and the tombstone is ${tombstone}`)
  }
  if (cell?.state !== 'live' || cell.label.low < floor) return found
  if (!covers(cell.label.low, covered.version)) {
    found.push(`I2: a live value from ${cell.label.low} on, and the watermark covers ${covered.version}`)
  }
  if (cell.n < covered.n) found.push(`I3: the live value ${cell.n}, and the watermark covers ${covered.n}`)
  return found
}

/** A view goes back with the Redis that holds it, and never otherwise (I6). */
function wentBack(samples: readonly PartitionSample[], losses: readonly Span[]): string[] {
  const found: string[] = []
  for (const [partition, own] of Map.groupBy(samples, (s) => s.partition)) {
    for (const [i, after] of own.entries()) {
      const before = own[i - 1]
      if (!before || losses.some((loss) => loss.fromMs <= after.endedMs && loss.untilMs >= before.beganMs)) continue
      for (const field of fieldsBack(before.view, after.view)) found.push(`I6: ${field} of partition ${partition}`)
    }
  }
  return found
}

function fieldsBack(before: View | null, after: View | null): string[] {
  if (before === null) return []
  if (after === null) return ['the view']
  const fields = (['epoch', 'watermark', 'newest', 'horizon', 'beat', 'offset'] as const).filter(
    (field) => after[field] < before[field],
  )
  const floors = Object.keys(before.floors).filter((name) => (after.floors[name] ?? '') < before.floors[name]!)
  return [...fields, ...floors.map((name) => `the floor of ${name}`)]
}
