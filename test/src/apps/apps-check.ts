import { after, maxPosition, ORIGIN, type Position } from '@tidemark/protocol'
import { type CommitHistory, commitOf, nextCommit, type TimedCommit } from '../evidence/commit-history.ts'
import { brokenPromises, type JudgedStep, tooOld, untrue } from '../evidence/reading-check.ts'
import type { AppNote, NotedRead, NotedSnapshot, SessionPlace } from './app-history.ts'
import { PAIR_CENTS, PAIRS } from './apps-source.ts'

type History = CommitHistory<TimedCommit>
type InSession = (AppNote & { readonly kind: 'read' | 'wrote' }) & { readonly place: SessionPlace }

/** Every breach in what the processes were handed, in words, the rule first: judged by what the database committed alone. */
export function breaches(
  notes: readonly AppNote[],
  history: History,
  maxStalenessMs: (keyspace: string) => number,
): string[] {
  const reads = notes.filter((note) => note.kind === 'read')
  const snapshots = notes.filter((note) => note.kind === 'snapshot')
  return [
    ...reads.flatMap((read) => untrue(read, history)),
    ...reads.flatMap((read) => tooOld(read, history, maxStalenessMs(read.keyspace))),
    ...sessionsIn(notes).flatMap((steps) => brokenPromises(steps, history)),
    ...snapshots.flatMap((snapshot) => untrueSnapshot(snapshot, history)),
  ]
}

/** Of each session what it did, in its order, in however many processes. */
function sessionsIn(notes: readonly AppNote[]): JudgedStep[][] {
  const steps = notes.filter((note): note is InSession => 'place' in note && note.place !== null)
  return [...Map.groupBy(steps, ({ place }) => place.session).values()].map((own) =>
    own
      .toSorted((a, b) => a.place.visit - b.place.visit || a.place.step - b.place.step)
      .map((step) => (step.kind === 'read' ? { kind: 'read', reading: step } : step)),
  )
}

/** A snapshot's values are what the database held at a position that it names, at one for all of them; and so is their sum. */
function untrueSnapshot({ at, isExact, rows }: NotedSnapshot, history: History): string[] {
  const held = rows.map(({ id, n }) => heldFor(history.get(id) ?? [], n))
  const low = maxPosition(ORIGIN, ...held.map((span) => span.low))
  const high = held.flatMap((span) => span.high ?? []).toSorted()[0]
  const [from, until] = [at?.low ?? ORIGIN, at?.high]
  const isTrue = isExact
    ? from >= low && (high === undefined || (until ?? high) <= high)
    : maxPosition(from, low) <= (least(until, high) ?? maxPosition(from, low))
  const named = rows.map(({ id, n }) => `${id} is ${n}`).join(', ')
  const wrong = isTrue ? [] : [`snapshot: ${named}: from ${low} to ${high}, said to be from ${from} to ${until}`]
  const cents = new Map(rows.map((row) => [Number(row.id), row.cents]))
  const torn = PAIRS.flatMap(([one, other]) => {
    const [a, b] = [cents.get(one), cents.get(other)]
    if (a === undefined || b === undefined || a + b === PAIR_CENTS) return []
    return [`snapshot: ${one} and ${other} together hold ${a + b}`]
  })
  return [...wrong, ...torn]
}

/** The positions at which a row had that value, both ends included; from the last commit on there is no end. */
function heldFor(commits: readonly TimedCommit[], n: number): { low: Position; high: Position | undefined } {
  const own = commitOf(commits, n)
  const next = nextCommit(commits, n)
  // A position covers what lies before it: at the next commit's version the row is still the old one.
  const high = next && (next.version as string as Position)
  return { low: own ? after(own.version) : ORIGIN, high }
}

function least(a: Position | undefined, b: Position | undefined): Position | undefined {
  return a !== undefined && b !== undefined && a > b ? b : (a ?? b)
}

/** Reads that failed with what nobody promised. */
export function failures(notes: readonly AppNote[]): string[] {
  return notes.flatMap((note) =>
    note.kind === 'refused' && note.code !== 'UNPROVABLE' ? [`${note.keyspace}: ${note.code}: ${note.message}`] : [],
  )
}

export function readsIn(notes: readonly AppNote[]): NotedRead[] {
  return notes.filter((note) => note.kind === 'read')
}
