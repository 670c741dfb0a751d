import { type Keyspace, type Lsn, type Source, TidemarkError } from '@tidemark/protocol'
import type { FloorCause } from '@tidemark/telemetry'
import type { Message, Relation } from './pgoutput.ts'
import { planRelation, type RelationPlan } from './relation-plan.ts'
import { type KeySink, keysOfChange } from './row-keys.ts'

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
  /** What it holds in memory, roughly. */
  readonly bytes: number
}

/** What the assembler saw that somebody may want to hear about; counted and logged outside. */
export interface AssemblyWatcher {
  onUnknown(tag: number): void
  onFloor(keyspace: Keyspace, cause: FloorCause): void
  onShapeChanged(plan: RelationPlan): void
}

/** Bytes that a key costs beside its text: a set's entry and a string's header. */
const KEY_OVERHEAD_BYTES = 64
const TRANSACTION_OVERHEAD_BYTES = 512

/**
 * Assembles transactions from messages. Holds at most `maxKeysPerTransaction` keys of each keyspace: one more turns
 * them all into one floor, so that memory is bounded whatever the size of a transaction.
 *
 * It outlives connections: Postgres describes every relation anew on each, and a description that differs from the
 * last one is a change of shape, which is a floor.
 */
export class TransactionAssembler {
  readonly #source: Source
  readonly #watcher: AssemblyWatcher
  readonly #plans = new Map<number, RelationPlan>()
  readonly #shapes = new Map<string, string>()
  #open: OpenTransaction | undefined

  constructor(source: Source, watcher: AssemblyWatcher) {
    this.#source = source
    this.#watcher = watcher
  }

  /** The commit LSN of the transaction that is being received, if one is. */
  get openCommitLsn(): Lsn | undefined {
    return this.#open?.commitLsn
  }

  get openBytes(): number {
    return this.#open?.bytes ?? 0
  }

  /** To be called for every new connection: a transaction that was cut off comes again from its start. */
  reset(): void {
    this.#open = undefined
    this.#plans.clear()
  }

  /** Takes the next message; gives the transaction that it completes. Throws STREAM_BROKEN on what cannot be. */
  accept(message: Message): Transaction | undefined {
    switch (message.kind) {
      case 'begin':
        if (this.#open) throw broken('a transaction began inside another')
        this.#open = new OpenTransaction(message, this.#watcher)
        return undefined
      case 'commit':
        return this.#commit(message)
      case 'relation':
        this.#learn(message)
        return undefined
      case 'insert':
      case 'update':
      case 'delete':
        keysOfChange(this.#plan(message.relation), message, this.#opened())
        return undefined
      case 'truncate':
        for (const oid of message.relations) this.#truncate(oid)
        return undefined
      case 'unknown':
        this.#watcher.onUnknown(message.tag)
        return undefined
      case 'malformed':
        throw broken(`message ${message.tag} cannot be read: ${message.reason}`)
      case 'ignored':
        return undefined
    }
  }

  #commit(message: Extract<Message, { kind: 'commit' }>): Transaction {
    const open = this.#opened()
    if (open.commitLsn !== message.commitLsn) throw broken('Begin and Commit name different LSNs')
    this.#open = undefined
    return open.committed(message.endLsn)
  }

  #learn(relation: Relation): void {
    const plan = planRelation(relation, this.#source)
    const known = this.#shapes.get(plan.table)
    const lacking = plan.keyspaces.some((k) => k.lacking.length > 0)
    this.#plans.set(plan.oid, plan)
    this.#shapes.set(plan.table, plan.shape)
    if (!lacking && (known === undefined || known === plan.shape)) return
    this.#watcher.onShapeChanged(plan)
    // The keys of earlier changes were made in another way, and there may be keys that no later change can name.
    for (const { keyspace } of plan.keyspaces) {
      this.#opened().addFloor(keyspace)
      this.#watcher.onFloor(keyspace, 'shape')
    }
  }

  #truncate(oid: number): void {
    for (const { keyspace } of this.#plan(oid).keyspaces) {
      this.#opened().addFloor(keyspace)
      this.#watcher.onFloor(keyspace, 'truncate')
    }
  }

  #plan(oid: number): RelationPlan {
    const plan = this.#plans.get(oid)
    if (!plan) throw broken(`a change names relation ${oid}, which was not described`)
    return plan
  }

  #opened(): OpenTransaction {
    if (!this.#open) throw broken('a change outside a transaction')
    return this.#open
  }
}

class OpenTransaction implements KeySink {
  readonly commitLsn: Lsn
  readonly #xid: number
  readonly #commitTimeUs: bigint
  readonly #watcher: AssemblyWatcher
  readonly #floors = new Set<Keyspace>()
  readonly #keys = new Map<Keyspace, Set<string>>()
  bytes = TRANSACTION_OVERHEAD_BYTES

  constructor(begin: Extract<Message, { kind: 'begin' }>, watcher: AssemblyWatcher) {
    this.commitLsn = begin.commitLsn
    this.#xid = begin.xid
    this.#commitTimeUs = begin.timeUs
    this.#watcher = watcher
  }

  addKey(keyspace: Keyspace, key: string): void {
    if (this.#floors.has(keyspace)) return
    let keys = this.#keys.get(keyspace)
    if (!keys) {
      keys = new Set()
      this.#keys.set(keyspace, keys)
    }
    if (keys.has(key)) return
    if (keys.size === keyspace.maxKeysPerTransaction) {
      this.addFloor(keyspace)
      this.#watcher.onFloor(keyspace, 'bulk')
      return
    }
    keys.add(key)
    this.bytes += costOf(key)
  }

  addFloor(keyspace: Keyspace): void {
    this.#floors.add(keyspace)
    for (const key of this.#keys.get(keyspace) ?? []) this.bytes -= costOf(key)
    this.#keys.delete(keyspace)
  }

  committed(endLsn: Lsn): Transaction {
    return {
      kind: 'transaction',
      xid: this.#xid,
      commitLsn: this.commitLsn,
      endLsn,
      commitTimeUs: this.#commitTimeUs,
      floors: this.#floors,
      keys: this.#keys,
      bytes: this.bytes,
    }
  }
}

function costOf(key: string): number {
  return KEY_OVERHEAD_BYTES + key.length
}

function broken(what: string): TidemarkError {
  return new TidemarkError('STREAM_BROKEN', what)
}
