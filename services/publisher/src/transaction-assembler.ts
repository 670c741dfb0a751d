import { allKeyspaces, type Keyspace, type Lsn, type Source, TidemarkError } from '@tidemark/protocol'
import type { FloorCause } from '@tidemark/telemetry'
import { isFor, readInvalidation } from './invalidation-message.ts'
import type { EmittedMessage, Message, Relation } from './pgoutput.ts'
import type { RelationPlan } from './relation-plan.ts'
import { Relations } from './relations.ts'
import { keysOfChange } from './row-keys.ts'
import { OpenTransaction, type Transaction } from './transaction.ts'

/** What the assembler saw that somebody may want to hear about; counted and logged outside. */
export interface AssemblyWatcher {
  onUnknown(tag: number): void
  onFloor(keyspace: Keyspace, cause: FloorCause): void
  onShapeChanged(plan: RelationPlan): void
  /** Columns that projections show are not in the stream: said once for each shape of the table. */
  onProjectionLacking(plan: RelationPlan): void
  onInvalidationMessage(outcome: 'taken' | 'floor' | 'refused', reason?: string): void
}

/** Assembles transactions from messages. It outlives connections, for what it knows of relations does. */
export class TransactionAssembler {
  readonly #source: Source
  readonly #watcher: AssemblyWatcher
  readonly #relations: Relations
  #open: OpenTransaction | undefined

  constructor(source: Source, watcher: AssemblyWatcher) {
    this.#source = source
    this.#watcher = watcher
    this.#relations = new Relations(source)
  }

  /** The oid of each of the source's tables, from the catalog: their names in the stream may be others for a while. */
  seed(oids: ReadonlyMap<string, number>): void {
    this.#relations.seed(oids)
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
    this.#relations.forgetConnection()
  }

  /** Takes the next message; gives the transaction that it completes. Throws STREAM_BROKEN on what cannot be. */
  accept(message: Message): Transaction | undefined {
    switch (message.kind) {
      case 'begin':
        if (this.#open) throw broken('a transaction began inside another')
        this.#open = this.#begun(message)
        return undefined
      case 'commit':
        return this.#commit(message)
      case 'relation':
        this.#learn(message)
        return undefined
      case 'insert':
      case 'update':
      case 'delete':
        keysOfChange(this.#described(this.#relations.ofRow(message.relation)), message, this.#opened())
        return undefined
      case 'truncate':
        for (const oid of message.relations) this.#truncate(oid)
        return undefined
      case 'message':
        if (isFor(this.#source, message)) this.#invalidate(message)
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
    const { plan, changed, isNews } = this.#relations.learn(relation)
    if (isNews && plan.keyspaces.some((k) => k.unprojected.length > 0)) this.#watcher.onProjectionLacking(plan)
    if (!changed) return
    this.#watcher.onShapeChanged(plan)
    // The keys of earlier changes were made in another way, and there may be keys that no later change can name.
    for (const { keyspace } of plan.keyspaces) this.#opened().addFloor(keyspace, 'shape')
  }

  #truncate(oid: number): void {
    const { keyspaces } = this.#described(this.#relations.ofTruncate(oid))
    for (const { keyspace } of keyspaces) this.#opened().addFloor(keyspace, 'truncate')
  }

  /** What is not understood may have meant any value: a floor of everything is the only claim that is surely true. */
  #invalidate({ transactional, content }: EmittedMessage): void {
    // Without a commit it has no version; and a crash may take it back after we have published it.
    if (!transactional) {
      this.#watcher.onInvalidationMessage('refused', 'it is not transactional')
      return
    }
    const open = this.#opened()
    const read = readInvalidation(this.#source, content)
    if (typeof read === 'string') {
      this.#watcher.onInvalidationMessage('floor', read)
      for (const keyspace of allKeyspaces(this.#source)) open.addFloor(keyspace, 'message')
      return
    }
    this.#watcher.onInvalidationMessage('taken')
    for (const keyspace of read.floors) open.addFloor(keyspace, 'message')
    for (const { keyspace, key } of read.keys) open.addNamedKey(keyspace, key)
  }

  #begun({ xid, commitLsn, timeUs }: Extract<Message, { kind: 'begin' }>): OpenTransaction {
    const onFloor = (keyspace: Keyspace, cause: FloorCause) => this.#watcher.onFloor(keyspace, cause)
    return new OpenTransaction({ xid, commitLsn, commitTimeUs: timeUs }, onFloor)
  }

  #described(plan: RelationPlan | undefined): RelationPlan {
    if (!plan) throw broken('a change names a relation that was not described')
    return plan
  }

  #opened(): OpenTransaction {
    if (!this.#open) throw broken('a change outside a transaction')
    return this.#open
  }
}

function broken(what: string): TidemarkError {
  return new TidemarkError('STREAM_BROKEN', what)
}
