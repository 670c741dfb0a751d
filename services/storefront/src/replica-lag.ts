import type { Lsn } from '@tidemark/protocol'

const MAX_MARKS = 7_200

/**
 * How far a replica's replay is behind, by one clock: where the primary stood is marked from time to time, and a
 * replica is at most as old as the newest mark that it has replayed. What the replica says of its own lag cannot be
 * had truly: the time of its last replayed commit grows old on an idle primary, and counts as no lag at all once the
 * connection to the primary is lost.
 */
export class ReplicaLag {
  readonly #marks: { readonly lsn: Lsn; readonly atMs: number }[] = []

  /** The primary stood at `lsn` at that time, by the local monotonic clock. */
  mark(lsn: Lsn, atMs: number): void {
    this.#marks.push({ lsn, atMs })
    if (this.#marks.length > MAX_MARKS) this.#marks.shift()
  }

  /** An upper bound, too high by an interval between two marks at most; undefined when all marks lie ahead. */
  lagMs(replayed: Lsn, nowMs: number): number | undefined {
    const reached = this.#marks.findLast(({ lsn }) => lsn <= replayed)
    return reached === undefined ? undefined : nowMs - reached.atMs
  }
}
