import { CLIENT_RETRY, type Cluster, coordinatorCause } from '@tidemark/kafka'
import type { Kafka, ProducerBatch, RecordMetadata } from 'kafkajs'
import { createEosManager, createMessageProducer, createRetry } from './kafkajs-internals.ts'

/**
 * An idempotent producer that shuts out those before it. Kafka gives each that is initialised with the same
 * transactional id the same producer id and the next producer epoch, and a partition that has seen the one refuses
 * the older: also what an abandoned process or send had on its way. There are no transactions: a batch goes out under
 * that id and epoch as an ordinary one, without the rounds, markers and delay to readers that commits would cost.
 */
export class FencedProducer {
  readonly sendBatch: (batch: ProducerBatch) => Promise<RecordMetadata[]>
  readonly #eosManager
  readonly #kafka: Kafka
  readonly #transactionalId: string

  /** @param cluster connected, and the caller's to disconnect */
  constructor(kafka: Kafka, cluster: Cluster, transactionalId: string) {
    this.#kafka = kafka
    this.#transactionalId = transactionalId
    const logger = kafka.logger()
    this.#eosManager = createEosManager({ logger, cluster, transactional: true, transactionalId })
    const { sendBatch } = createMessageProducer({
      ...{ logger, cluster, partitioner: explicitPartition, idempotent: true },
      // Each batch is sent as one outside of transactions, under the id that belongs to the transactional one.
      eosManager: { ...this.#eosManager, isTransactional: () => false },
      retrier: createRetry(CLIENT_RETRY),
      getConnectionStatus: () => 'connected',
    })
    this.sendBatch = sendBatch
  }

  /**
   * Takes the next producer epoch. Nobody is shut out of a partition before the first batch to it.
   * @returns its number. 0 says that Kafka has no memory of any producer of this id: nobody can be shut out by it
   */
  async initialise(): Promise<number> {
    await this.#eosManager.initProducerId().catch(async (error: unknown) => {
      throw await coordinatorCause(error, this.#kafka, { type: 'transaction', id: this.#transactionalId })
    })
    return this.#eosManager.getProducerEpoch()
  }
}

/** kafkajs asks it for every record; the partition was chosen where the key was made. */
function explicitPartition({ message }: { message: { partition?: number } }): number {
  if (message.partition === undefined) throw new Error('a record without a partition')
  return message.partition
}

/** The refusals that a producer gets which is no longer the newest: of a partition, and of a coordinator. */
const INVALID_PRODUCER_EPOCH = 47
const PRODUCER_FENCED = 90

/** Whether the error, or what caused it, is Kafka's refusal of a producer that another has followed. */
export function isFenced(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code } = error as { code?: unknown }
  return code === INVALID_PRODUCER_EPOCH || code === PRODUCER_FENCED || isFenced(error.cause)
}
