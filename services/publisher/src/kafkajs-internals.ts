import { createRequire } from 'node:module'
import type { Logger, Producer } from 'kafkajs'

// What kafkajs 2.2.4 has inside and does not offer: a producer id of a transactional id for batches without a
// transaction, and reading at an offset without a consumer group. The version is pinned; a test says what may not change.

export interface KafkaRecord {
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** Of the batch that it came in. */
  readonly batchContext: {
    readonly producerId: string
    readonly producerEpoch: number
    readonly inTransaction: boolean
  }
}

export interface Broker {
  fetch(request: {
    readonly isolationLevel: number
    readonly maxWaitTime: number
    readonly maxBytes: number
    readonly topics: readonly { readonly topic: string; readonly partitions: readonly FetchedPartition[] }[]
  }): Promise<{ readonly responses: readonly { readonly partitions: readonly { messages: KafkaRecord[] }[] }[] }>
}

export interface FetchedPartition {
  readonly partition: number
  readonly fetchOffset: string
  readonly maxBytes: number
}

/** The connections of one client. */
export interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number }[]
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, readonly number[]>>
  findBroker(broker: { readonly nodeId: string }): Promise<Broker>
  fetchTopicsOffset(
    topics: readonly {
      readonly topic: string
      readonly fromBeginning: boolean
      readonly partitions: readonly { readonly partition: number }[]
    }[],
  ): Promise<readonly { readonly partitions: readonly { readonly partition: number; readonly offset: string }[] }[]>
}

/** Counts a producer's records by partition, under its id and epoch. */
export interface EosManager {
  initProducerId(): Promise<void>
  getProducerEpoch(): number
  isTransactional(): boolean
}

interface MessageProducerOptions {
  readonly logger: Logger
  readonly cluster: Cluster
  readonly partitioner: (record: { message: { partition?: number } }) => number
  readonly eosManager: EosManager
  readonly idempotent: boolean
  readonly retrier: unknown
  readonly getConnectionStatus: () => string
}

const load = createRequire(import.meta.url)

export const createEosManager: (options: {
  readonly logger: Logger
  readonly cluster: Cluster
  readonly transactional: boolean
  readonly transactionalId: string
}) => EosManager = load('kafkajs/src/producer/eosManager')

export const createMessageProducer: (options: MessageProducerOptions) => Pick<Producer, 'sendBatch'> = load(
  'kafkajs/src/producer/messageProducer',
)

export const createRetry: (options: { readonly retries: number }) => unknown = load('kafkajs/src/retry')
