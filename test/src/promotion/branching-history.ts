import { epochOf, lsnOf, type Position, satisfies, type Version, version } from '@tidemark/protocol'
import type { Reading } from '@tidemark/refill'
import { type Commit, type CommitHistory, falsehoodOf } from '../evidence/commit-history.ts'

/** What one server committed as the primary, and where it parted from the primary that it was a copy of. */
export interface Branch {
  readonly timeline: number
  /** Its own commits; of their versions only the LSN counts here. */
  readonly commits: CommitHistory
  readonly parent: Branch | null
  /** Of each row, what it held when the server was promoted. What the parent committed later is lost. */
  readonly fork: ReadonlyMap<string, number>
}

/** A row of the epoch table. */
export interface EpochOfTimeline {
  readonly epoch: number
  readonly timeline: number
}

/** A reading of a row, with what the region had been told of by then. */
export interface NotedReading extends Pick<Reading<number>, 'freshness' | 'doubt' | 'position' | 'label' | 'from'> {
  readonly id: string
  readonly n: number
  /** The newest epoch that was seen announced to the row's partition before the read began. */
  readonly epochBefore: number
  /** The same, looked at after the read had ended. */
  readonly epochAfter: number
}

/** What one session did, in its order. */
export type SessionStep =
  | { readonly kind: 'read'; readonly reading: NotedReading }
  | { readonly kind: 'wrote'; readonly id: string; readonly n: number }

/**
 * All histories of one source: each epoch tells that of its timeline, from the first commit to the last. Every value
 * is written once and grows along each history, so a value names its commit, and the histories that hold it.
 */
export class BranchingHistory {
  readonly #epochs: ReadonlyMap<number, CommitHistory>
  readonly #last: CommitHistory

  /** @param last the branch that remains; the others are abandoned where it does not share their commits */
  constructor(branches: readonly Branch[], epochs: readonly EpochOfTimeline[], last: Branch) {
    this.#last = commitsAlong(last)
    this.#epochs = new Map(
      epochs.map(({ epoch, timeline }) => {
        const branch = branches.find((b) => b.timeline === timeline)
        if (!branch) throw new Error(`epoch ${epoch} is of timeline ${timeline}, which nobody recorded`)
        return [epoch, stamped(commitsAlong(branch), epoch)]
      }),
    )
  }

  /** Whether no history but abandoned ones holds the value. */
  isAbandoned(id: string, n: number): boolean {
    return !holds(this.#last, id, n)
  }

  /**
   * What is false in a reading that was served as fresh, in words; null when nothing is.
   *
   * - From an epoch's announcement on, nothing is fresh by an older one (protocol 6.3, I7): the epoch's start is the
   *   floor of every keyspace.
   * - A position is a claim about the history of its epoch (I1): the value is of that history, and not older than
   *   the commits that the position covers. So a value of the promoted server is not fresh under the old view, unless
   *   it was loaded for this reader alone: then it has no position, and nothing was cached (6.6).
   * - A value without a position is of a history that is not older than what was announced.
   */
  falsehoodIn(reading: NotedReading): string | null {
    const { id, n, position, label, epochBefore, epochAfter, from } = reading
    if (position === null) {
      if (from === 'redis') return `${n}: from Redis without a position`
      return this.#heldSince(epochBefore, id, n) ? null : `${n} is of no history since epoch ${epochBefore}`
    }
    const epoch = epochOf(position)
    if (epoch < epochBefore) return `${n} is fresh by epoch ${epoch}, after the announcement of ${epochBefore}`
    if (epoch > epochAfter) return `${n} is fresh by epoch ${epoch}, before its announcement`
    if (!this.#holds(epoch, id, n)) return `${n} is fresh by epoch ${epoch}, which does not hold it`
    return falsehoodOf({ id, n, position, label }, this.#epochs.get(epoch)!)
  }

  /**
   * What broke a session's promise, in words. Positions are compared as the protocol compares them (6.5): a commit
   * that the session saw, or made, is satisfied by a newer epoch only where its LSN has been passed too. The primary
   * satisfies what the session wrote by itself, if its epoch is not older; never what the session saw.
   */
  brokenPromises(steps: readonly SessionStep[]): string[] {
    const broken: string[] = []
    let seen: Version[] = []
    const own: Write[] = []
    for (const step of steps) {
      if (step.kind === 'wrote') {
        own.push({ ...step, version: this.#firstCommit(step.id, step.n)?.version })
        continue
      }
      const { reading } = step
      if (reading.freshness === 'fresh') {
        for (const version of seen) {
          if (!isPast(reading.position, version)) {
            broken.push(`${reading.n}, fresh from ${reading.from}, is not past ${version}, which was seen`)
          }
        }
        for (const write of own) if (this.#forgets(reading, write)) broken.push(`${reading.n} forgets ${write.n}`)
      }
      const version = this.#firstCommit(reading.id, reading.n)?.version
      if (version !== undefined) seen = [...seen.filter((v) => !covers(version, v)), version]
    }
    return broken
  }

  #forgets(reading: NotedReading, write: Write): boolean {
    const { id, n, position, from } = reading
    const { version } = write
    if (version === undefined) return false // it was not committed: its answer was lost with the server
    if (from !== 'primary') return !isPast(position, version)
    if (position !== null && epochOf(position) < epochOf(version)) return true
    if (id !== write.id || n >= write.n) return false
    const told = position === null ? [...this.#epochs.keys()] : [epochOf(position)]
    const histories = told.filter((e) => e >= epochOf(version) && this.#holds(e, id, n))
    return histories.every((e) => this.#holds(e, id, write.n))
  }

  #heldSince(oldest: number, id: string, n: number): boolean {
    return [...this.#epochs.keys()].some((epoch) => epoch >= oldest && this.#holds(epoch, id, n))
  }

  /** Under the oldest epoch that holds it: what a session saw there was labelled so, or higher. */
  #firstCommit(id: string, n: number): Commit | undefined {
    const oldest = [...this.#epochs.keys()].sort((a, b) => a - b).find((epoch) => this.#holds(epoch, id, n))
    return oldest === undefined ? undefined : commitOf(this.#epochs.get(oldest), id, n)
  }

  #holds(epoch: number, id: string, n: number): boolean {
    return holds(this.#epochs.get(epoch), id, n)
  }
}

function holds(history: CommitHistory | undefined, id: string, n: number): boolean {
  return commitOf(history, id, n) !== undefined
}

function commitOf(history: CommitHistory | undefined, id: string, n: number): Commit | undefined {
  return history?.get(id)?.find((c) => c.n === n)
}

interface Write {
  readonly id: string
  readonly n: number
  readonly version: Version | undefined
}

/** The branch's own commits, after what it shares with those that it comes from. */
function commitsAlong({ commits, parent, fork }: Branch): CommitHistory {
  const all = new Map<string, readonly Commit[]>()
  for (const [id, inherited] of parent ? commitsAlong(parent) : []) {
    const last = fork.get(id)
    const shared = last === undefined ? [] : inherited.filter(({ n }) => n <= last)
    all.set(id, shared)
  }
  for (const [id, own] of commits) all.set(id, [...(all.get(id) ?? []), ...own])
  return all
}

function stamped(history: CommitHistory, epoch: number): CommitHistory {
  return new Map(
    Array.from(history, ([id, commits]) => [
      id,
      commits.map((c) => ({ ...c, version: version(epoch, lsnOf(c.version)) })),
    ]),
  )
}

/** Whether the position is past the commit, by epoch and by LSN. */
function isPast(position: Position | null, commit: Version): boolean {
  return position !== null && satisfies(position, commit as string as Position) && lsnOf(position) > lsnOf(commit)
}

/** Whether whatever is past `a` is past `b` too. */
function covers(a: Version, b: Version): boolean {
  return epochOf(a) >= epochOf(b) && lsnOf(a) >= lsnOf(b)
}
