import type { Position, Version } from '@tidemark/protocol'
import type { Label, Reading } from '@tidemark/refill'
import {
  type CommitHistory,
  commitOf,
  falsehoodOf,
  newestCovered,
  nextCommit,
  type TimedCommit,
} from './commit-history.ts'

type History = CommitHistory<TimedCommit>

/** What a reader was handed of a row, as far as the history can judge it. */
export interface JudgedReading {
  readonly keyspace: string
  readonly id: string
  readonly n: number
  readonly freshness: Reading<unknown>['freshness']
  readonly position: Position | null
  readonly label: Label | null
  readonly from: string
  /** By the wall clock, in milliseconds. */
  readonly beganMs: number
}

/** What one session did, in its order. */
export type JudgedStep =
  | { readonly kind: 'read'; readonly reading: JudgedReading }
  | { readonly kind: 'wrote'; readonly id: string; readonly n: number }

/** Whatever has a label claims something, also what is served as stale (I1). */
export function untrue({ id, n, position, label, keyspace, from }: JudgedReading, history: History): string[] {
  const falsehood = falsehoodOf({ id, n, position, label }, history)
  return falsehood === null ? [] : [`I1: ${keyspace}:${id} from ${from}: ${falsehood}`]
}

/**
 * How long ago the value of a reading had ceased to be the row's when the read began, in ms; 0 when it had not. The
 * clock is one. A commit's time is that of its record, an instant before it could be seen; the skew that the source
 * allows for, and that every age is taken longer by, is more than that instant.
 */
export function ageMs({ id, n, beganMs }: Pick<JudgedReading, 'id' | 'n' | 'beganMs'>, history: History): number {
  const next = nextCommit(history.get(id) ?? [], n)
  return next === undefined ? 0 : Math.max(0, beganMs - next.committedMs)
}

/** What is said to be fresh was the row's value within the time that its contract names (I7). */
export function tooOld(reading: JudgedReading, history: History, maxStalenessMs: number): string[] {
  const age = ageMs(reading, history)
  if (reading.freshness !== 'fresh' || age <= maxStalenessMs) return []
  const { keyspace, id, n, from, position } = reading
  return [`I7: ${keyspace}:${id} from ${from}: ${n} at ${position} said fresh ${Math.round(age)} ms after its end`]
}

/**
 * What a session wrote it reads again, and what it saw no later reading is behind, of that row or of another: what it
 * saw at one version it was promised all that was committed up to there.
 */
export function brokenPromises(steps: readonly JudgedStep[], history: History): string[] {
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

/** Not of that very version: who saw one row of a transaction may have seen it where the other was not asked for. */
function newestUpTo(history: History, id: string, seen: Version | undefined): TimedCommit | undefined {
  return seen === undefined ? undefined : newestCovered(history.get(id) ?? [], seen as string as Position)
}
