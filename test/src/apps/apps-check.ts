import type { Position } from '@tidemark/protocol'
import { type CommitHistory, newestCovered, type TimedCommit } from '../evidence/commit-history.ts'
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

/** A snapshot's values are what the database held at the positions that it names, all of them, and so is their sum. */
function untrueSnapshot({ at, rows }: NotedSnapshot, history: History): string[] {
  const wrong = rows.flatMap(({ id, n }) =>
    [at.low, at.high].flatMap((position) => {
      const held = newestCovered(history.get(id) ?? [], position as Position)?.n
      return held === n ? [] : [`snapshot: ${id}: ${n} at ${position}, where it was ${held}`]
    }),
  )
  const cents = new Map(rows.map((row) => [Number(row.id), row.cents]))
  const torn = PAIRS.flatMap(([one, other]) => {
    const [a, b] = [cents.get(one), cents.get(other)]
    if (a === undefined || b === undefined || a + b === PAIR_CENTS) return []
    return [`snapshot: ${one} and ${other} together hold ${a + b}`]
  })
  return [...wrong, ...torn]
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
