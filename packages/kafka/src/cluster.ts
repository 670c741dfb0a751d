import type { Kafka } from 'kafkajs'

// What kafkajs 2.2.4 has inside and does not offer: reading at an offset without a consumer group, and
// asking a broker for a coordinator. The version is pinned.

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

interface Broker {
  findGroupCoordinator(question: { readonly groupId: string; readonly coordinatorType: number }): Promise<unknown>
  fetch(request: {
    readonly isolationLevel: number
    readonly maxWaitTime: number
    readonly maxBytes: number
    readonly topics: readonly { readonly topic: string; readonly partitions: readonly FetchedPartition[] }[]
  }): Promise<{ readonly responses: readonly { readonly partitions: readonly { messages: KafkaRecord[] }[] }[] }>
}

interface FetchedPartition {
  readonly partition: number
  readonly fetchOffset: string
  readonly maxBytes: number
}

/** The connections of one client. */
export interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  readonly brokerPool: { findConnectedBroker(): Promise<Broker> }
  addTargetTopic(topic: string): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number }[]
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, readonly number[]>>
  findBroker(broker: { readonly nodeId: string }): Promise<Broker>
  fetchTopicsOffset(
    topics: readonly {
      readonly topic: string
      readonly fromBeginning: boolean
      /** In ms since 1970; goes before the beginning or the end. */
      readonly fromTimestamp?: number
      readonly partitions: readonly { readonly partition: number }[]
    }[],
  ): Promise<readonly { readonly partitions: readonly { readonly partition: number; readonly offset: string }[] }[]>
}

const METADATA_MAX_AGE_MS = 300_000

/** Connections as the client's own producers have them, with its credentials; one request at a time to each broker. */
export function createCluster(kafka: Kafka): Cluster {
  const create = Object.getOwnPropertySymbols(kafka).find((s) => s.description === 'private:Kafka:createCluster')
  if (create === undefined) throw new Error('this is not kafkajs 2.2.4')
  const internals = kafka as unknown as Record<symbol, (options: object) => Cluster>
  return internals[create]!({
    metadataMaxAge: METADATA_MAX_AGE_MS,
    allowAutoTopicCreation: false,
    maxInFlightRequests: 1,
  })
}
