import { after, encodeRecord, type Lsn, partitionOf, position, type TidemarkRecord, version } from '@tidemark/protocol'
import type { Transaction } from './transaction.ts'

/** A Kafka record and where it goes. */
export interface Message {
  readonly partition: number
  readonly key: Buffer | null
  readonly value: Buffer
}

export interface SendLimits {
  /** Of one send, over all partitions. */
  readonly maxRecords: number
  /** Of one send to one partition: a broker takes a partition's records as one batch, and limits its size. */
  readonly maxPartitionBytes: number
}

/**
 * What is to be published together, by partition and in commit order. A key or a floor that occurs again moves to
 * its newest version's place: the batch is published as a whole, and the newest subsumes the older ones.
 */
export class Batch {
  readonly #epoch: number
  readonly #partitions: readonly Map<string, TidemarkRecord>[]
  readonly transactions: Transaction[] = []

  constructor(epoch: number, partitions: number) {
    this.#epoch = epoch
    this.#partitions = Array.from({ length: partitions }, () => new Map())
  }

  add(transaction: Transaction): void {
    this.transactions.push(transaction)
    const at = version(this.#epoch, transaction.commitLsn)
    const timeUs = transaction.commitTimeUs
    for (const [keyspace, keys] of transaction.keys) {
      for (const key of keys) {
        const records = this.#partitions[partitionOf(key, this.#partitions.length)]!
        const event = { kind: 'event', key, keyspace: keyspace.name, version: at, timeUs } as const
        const projection = transaction.projections.get(key)
        newest(records, `key ${key}`, projection ? { ...event, projection } : event)
      }
    }
    for (const keyspace of transaction.floors) {
      const floor = { kind: 'floor', keyspace: keyspace.name, position: after(at), timeUs } as const
      for (const records of this.#partitions) newest(records, `floor ${keyspace.name}`, floor)
    }
  }

  /**
   * The records in sends that keep to the limits, the watermark last on every partition. A crash between two sends
   * leaves events that no watermark covers; they come again.
   */
  *sends(watermark: { readonly lsn: Lsn; readonly timeUs: bigint }, limits: SendLimits): Generator<Message[]> {
    const last = encodeRecord({
      kind: 'watermark',
      position: position(this.#epoch, watermark.lsn),
      timeUs: watermark.timeUs,
    })
    let send = new Send(limits)
    for (const [partition, records] of this.#partitions.entries()) {
      for (const record of records.values()) {
        const message = { partition, ...encodeRecord(record) }
        if (!send.fits(message)) {
          yield send.messages
          send = new Send(limits)
        }
        send.add(message)
      }
    }
    for (const partition of this.#partitions.keys()) send.add({ partition, ...last })
    yield send.messages
  }
}

function newest(records: Map<string, TidemarkRecord>, name: string, record: TidemarkRecord): void {
  records.delete(name)
  records.set(name, record)
}

/** Bytes that a record takes in Kafka's format beside key and value, generously. */
const RECORD_OVERHEAD_BYTES = 32

class Send {
  readonly #limits: SendLimits
  readonly messages: Message[] = []
  readonly #bytes = new Map<number, number>()

  constructor(limits: SendLimits) {
    this.#limits = limits
  }

  fits(message: Message): boolean {
    if (this.messages.length === 0) return true
    const bytes = (this.#bytes.get(message.partition) ?? 0) + sizeOf(message)
    return this.messages.length < this.#limits.maxRecords && bytes <= this.#limits.maxPartitionBytes
  }

  add(message: Message): void {
    this.messages.push(message)
    this.#bytes.set(message.partition, (this.#bytes.get(message.partition) ?? 0) + sizeOf(message))
  }
}

function sizeOf(message: Message): number {
  return (message.key?.length ?? 0) + message.value.length + RECORD_OVERHEAD_BYTES
}
