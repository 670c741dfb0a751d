import { createRequire } from 'node:module'
import type { Cluster } from '@tidemark/kafka'
import type { Logger, Producer } from 'kafkajs'

// What kafkajs 2.2.4 has inside and does not offer: a producer id of a transactional id for batches without a
// transaction. The version is pinned; a test says what may not change.

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
