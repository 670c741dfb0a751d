import type { Lsn } from '@tidemark/protocol'
import type { Transaction } from './transaction.ts'

/** `pg_current_snapshot()` of the primary: 64-bit transaction ids. */
export interface Snapshot {
  /** Everything below has ended. */
  readonly xmin: bigint
  /** Nothing from here on had begun, or at least not ended. */
  readonly xmax: bigint
  /** Those in between that were running. */
  readonly running: ReadonlySet<bigint>
}

/** What waits its turn: a transaction, or the server's word that it has sent everything before `lsn`. */
export type Entry = Transaction | { readonly kind: 'keepalive'; readonly lsn: Lsn }

const XID_MODULUS = 1n << 32n
const XID_HALF = 1n << 31n

/**
 * Whether a transaction that committed is visible to a snapshot (I5). Begin carries the low 32 bits of its id;
 * of all ids with these bits the one nearest the snapshot is meant: Postgres lets no two be 2^31 apart.
 */
export function isVisible(xid32: number, snapshot: Snapshot): boolean {
  const xid = nearest(xid32, snapshot.xmax)
  // Nearest to a young cluster's snapshot may be an id before the first: then it is one that is yet to come.
  return xid >= 0n && (xid < snapshot.xmin || (xid < snapshot.xmax && !snapshot.running.has(xid)))
}

function nearest(xid32: number, reference: bigint): bigint {
  const ahead = (BigInt(xid32) - reference) & (XID_MODULUS - 1n)
  return reference + (ahead >= XID_HALF ? ahead - XID_MODULUS : ahead)
}

/**
 * The queue between the stream and Kafka. Its invariant: entries leave in the order in which they came, which is
 * commit order, and a transaction leaves only once a snapshot shows it. A later transaction that is already visible
 * does not overtake one that is held back: a fill from the primary is labelled by what was published, and rests on
 * everything before that being visible.
 */
export class VisibilityGate {
  readonly #entries: Entry[] = []
  #from = 0
  #bytes = 0

  get size(): number {
    return this.#entries.length - this.#from
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The transaction at the head, if the head is one: it needs a snapshot to pass. */
  get head(): Entry | undefined {
    return this.#entries[this.#from]
  }

  add(entry: Entry): void {
    const last = this.#entries.at(-1)
    // The newer of two keepalives in a row says it all: an idle stream does not fill the queue.
    if (this.size > 0 && entry.kind === 'keepalive' && last?.kind === 'keepalive') {
      this.#entries[this.#entries.length - 1] = entry.lsn > last.lsn ? entry : last
      return
    }
    this.#entries.push(entry)
    this.#bytes += bytesOf(entry)
  }

  /**
   * Takes from the head what may be published under `snapshot` (without one: keepalives only), at most about
   * `maxKeys` keys, at least one entry.
   */
  release(snapshot: Snapshot | undefined, maxKeys: number): Entry[] {
    const released: Entry[] = []
    let keys = 0
    for (let head = this.head; head && keys < maxKeys; head = this.head) {
      if (head.kind === 'transaction') {
        if (!snapshot || !isVisible(head.xid, snapshot)) break
        for (const set of head.keys.values()) keys += set.size
      }
      released.push(head)
      this.#bytes -= bytesOf(head)
      this.#from++
    }
    this.#compact()
    return released
  }

  /** Drops the passed entries once they are the larger part: amortised, a release costs what it takes. */
  #compact(): void {
    if (this.#from * 2 < this.#entries.length) return
    this.#entries.splice(0, this.#from)
    this.#from = 0
  }
}

function bytesOf(entry: Entry): number {
  return entry.kind === 'transaction' ? entry.bytes : 0
}
