import assert from 'node:assert'
import { formatLsn, type Lsn } from '@tidemark/protocol'

/**
 * The only place that says which LSN is safe to confirm to Postgres, that is: which part of the log may be thrown
 * away. Its invariant: what it gives out never goes back, and is never beyond a watermark that Kafka has
 * acknowledged on every partition. Confirming what was *received* instead loses whatever was in flight at a crash.
 */
export class Acker {
  #safe: Lsn

  /** @param start the slot's `confirmed_flush_lsn`, to which everything was published before */
  constructor(start: Lsn) {
    assert(start > 0n, 'a slot confirms a real position')
    this.#safe = start
  }

  /** Everything that the log holds before this is in Kafka, watermarks included. */
  get safe(): Lsn {
    return this.#safe
  }

  /**
   * Kafka has acknowledged the watermark at `position`, and every event that it covers, on `partitions` of
   * `expected` partitions.
   */
  published(position: Lsn, partitions: number, expected: number): void {
    assert(partitions === expected, `Kafka acknowledged ${partitions} of ${expected} partitions`)
    assert(position >= this.#safe, `the safe position would go back from ${formatLsn(this.#safe)}`)
    this.#safe = position
  }

  /**
   * What to hand to pg-logical-replication's `acknowledge`, which sends one more than it is given. Adjacent commits
   * share their boundary: had Postgres recorded end + 1, a restart there would lose the next transaction silently.
   */
  forAcknowledge(): string {
    return formatLsn(this.#safe - 1n)
  }
}
