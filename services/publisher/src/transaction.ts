import type { Keyspace, Lsn } from '@tidemark/protocol'
import type { FloorCause } from '@tidemark/telemetry'
import type { KeySink } from './row-keys.ts'
import { TransactionProjections } from './transaction-projections.ts'

/** A committed transaction, as far as the source's keyspaces are concerned. */
export interface Transaction {
  readonly kind: 'transaction'
  readonly xid: number
  /** The version's LSN: the commit record's start, from Begin. */
  readonly commitLsn: Lsn
  /** The commit record's end: the next transaction's commit LSN may equal it. */
  readonly endLsn: Lsn
  readonly commitTimeUs: bigint
  /** Keyspaces whose every value is made stale at once. They have no keys here. */
  readonly floors: ReadonlySet<Keyspace>
  readonly keys: ReadonlyMap<Keyspace, ReadonlySet<string>>
  /** Of keys that are updated in place: what their rows are at the commit. A key without one is invalidated. */
  readonly projections: ReadonlyMap<string, Buffer | null>
  /** What it holds in memory, roughly. */
  readonly bytes: number
}

/** What Begin says of it. */
export type Beginning = Pick<Transaction, 'xid' | 'commitLsn' | 'commitTimeUs'>

/** Bytes that a key costs beside its text: a set's entry and a string's header. */
const KEY_OVERHEAD_BYTES = 64
const TRANSACTION_OVERHEAD_BYTES = 512
const NO_PROJECTIONS: ReadonlyMap<string, Buffer | null> = new Map()

/**
 * A transaction that is being received. Holds at most `maxKeysPerTransaction` keys of each keyspace: one more turns
 * them all into one floor, so that memory is bounded whatever the size of a transaction.
 */
export class OpenTransaction implements KeySink {
  readonly commitLsn: Lsn
  readonly #beginning: Beginning
  readonly #onFloor: (keyspace: Keyspace, cause: FloorCause) => void
  readonly #floors = new Set<Keyspace>()
  readonly #keys = new Map<Keyspace, Set<string>>()
  /** Made for the first key that has one. */
  #projections: TransactionProjections | undefined
  #bytes = TRANSACTION_OVERHEAD_BYTES

  /** @param onFloor called once for each keyspace that becomes a floor */
  constructor(beginning: Beginning, onFloor: (keyspace: Keyspace, cause: FloorCause) => void) {
    this.commitLsn = beginning.commitLsn
    this.#beginning = beginning
    this.#onFloor = onFloor
  }

  get bytes(): number {
    return this.#bytes + (this.#projections?.bytes ?? 0)
  }

  get takesProjections(): boolean {
    return this.#projections?.dropped !== true
  }

  isFloor(keyspace: Keyspace): boolean {
    return this.#floors.has(keyspace)
  }

  addKey(keyspace: Keyspace, key: string, projection: Buffer | undefined): void {
    if (!this.#add(keyspace, key) || keyspace.projection === undefined) return
    if (projection !== undefined) this.#projections ??= new TransactionProjections()
    this.#projections?.set(key, projection)
  }

  /** A key that a message names: whatever its row says, it is to be invalidated. */
  addNamedKey(keyspace: Keyspace, key: string): void {
    if (!this.#add(keyspace, key) || keyspace.projection === undefined) return
    this.#projections ??= new TransactionProjections()
    this.#projections.forbid(key)
  }

  addFloor(keyspace: Keyspace, cause: FloorCause): void {
    if (this.#floors.has(keyspace)) return
    this.#floors.add(keyspace)
    for (const key of this.#keys.get(keyspace) ?? []) {
      this.#bytes -= costOf(key)
      this.#projections?.forget(key)
    }
    this.#keys.delete(keyspace)
    this.#onFloor(keyspace, cause)
  }

  committed(endLsn: Lsn): Transaction {
    const { xid, commitLsn, commitTimeUs } = this.#beginning
    const { bytes } = this
    return {
      kind: 'transaction',
      ...{ xid, commitLsn, endLsn, commitTimeUs },
      ...{ floors: this.#floors, keys: this.#keys, bytes },
      projections: this.#projections?.ofKeys ?? NO_PROJECTIONS,
    }
  }

  /** Whether the key is among the keys now: it may be covered by a floor, or be the one that makes it. */
  #add(keyspace: Keyspace, key: string): boolean {
    if (this.#floors.has(keyspace)) return false
    let keys = this.#keys.get(keyspace)
    if (!keys) {
      keys = new Set()
      this.#keys.set(keyspace, keys)
    }
    if (keys.has(key)) return true
    if (keys.size === keyspace.maxKeysPerTransaction) {
      this.addFloor(keyspace, 'bulk')
      return false
    }
    keys.add(key)
    this.#bytes += costOf(key)
    return true
  }
}

function costOf(key: string): number {
  return KEY_OVERHEAD_BYTES + key.length
}
