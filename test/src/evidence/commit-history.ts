import assert from 'node:assert/strict'
import { covers, type Lsn, type Position, parseLsn, type Version, version } from '@tidemark/protocol'
import type { Label } from '@tidemark/refill'
import type { Pgoutput } from 'pg-logical-replication'

/** What the database committed, key by key, in commit order: the truth that readings are held against. */
export type CommitHistory<C extends Commit = Commit> = ReadonlyMap<string, readonly C[]>

export interface Commit {
  readonly version: Version
  readonly n: number
}

export interface TimedCommit extends Commit {
  /** By the primary's clock, an instant before it could be seen. */
  readonly committedMs: number
}

/** A reading, as far as the history can judge it. */
export interface Claim {
  readonly id: string
  readonly n: number
  /** The value reflects every commit to its key that this covers. */
  readonly position: Position | null
  readonly label: Label | null
}

/** The history of table `hot` in a recording, under the epoch given. */
export async function historyOf(
  recording: AsyncIterable<Pgoutput.Message>,
  epoch: number,
): Promise<CommitHistory<TimedCommit>> {
  const history = new Map<string, TimedCommit[]>()
  let commitLsn: Lsn | undefined
  let committedMs = 0
  for await (const message of recording) {
    if (message.tag === 'begin') {
      commitLsn = parseLsn(message.commitLsn!)
      committedMs = Number(message.commitTime) / 1000
    }
    if (message.tag !== 'insert' && message.tag !== 'update') continue
    assert(commitLsn !== undefined, 'a change follows its Begin')
    assert(message.tag === 'insert' || message.key === null, 'a row of hot keeps its key')
    const id = String(message.new.id)
    const commits = history.get(id) ?? []
    commits.push({ version: version(epoch, commitLsn), n: Number(message.new.n), committedMs })
    history.set(id, commits)
  }
  return history
}

/**
 * What is false in a claim, in words; null when it is true (I1). `n` only grows, so the value of a commit is known by
 * its number: the label begins too high when a commit that it covers is newer than the value, and ends too low when
 * it does not cover the commit that the value is of.
 */
export function falsehoodOf(claim: Claim, history: CommitHistory): string | null {
  const commits = history.get(claim.id) ?? []
  const own = commitOf(commits, claim.n)
  for (const p of [claim.position, claim.label?.low ?? null]) {
    const missed = p && newestCovered(commits, p)
    if (missed && missed.n > claim.n)
      return `overclaims: ${claim.n} at ${p}, which covers ${missed.n} (${missed.version})`
  }
  if (own && claim.label && !covers(claim.label.high, own.version)) {
    return `denies: ${claim.n} (${own.version}) is in it, and ${claim.label.high} does not cover that`
  }
  return null
}

/** The newest of a row's commits that a position covers. */
export function newestCovered<C extends Commit>(commits: readonly C[], p: Position): C | undefined {
  return commits[countWhile(commits, (c) => covers(p, c.version)) - 1]
}

/** The commit that gave a row its value. */
export function commitOf<C extends Commit>(commits: readonly C[], n: number): C | undefined {
  const commit = nextCommit(commits, n - 1)
  return commit?.n === n ? commit : undefined
}

/** The first of a row's commits whose value is newer. */
export function nextCommit<C extends Commit>(commits: readonly C[], n: number): C | undefined {
  return commits[countWhile(commits, (c) => c.n <= n)]
}

/** How many commits there are from the first one on for which it holds; for none after those. */
function countWhile<C>(commits: readonly C[], holds: (commit: C) => boolean): number {
  let [from, to] = [0, commits.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (holds(commits[middle]!)) from = middle + 1
    else to = middle
  }
  return from
}
