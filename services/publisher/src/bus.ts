import {
  type Cluster,
  createCluster,
  ensureTopic,
  type KafkaConnection,
  kafkaClient,
  kafkaError,
} from '@tidemark/kafka'
import { encodeRecord, position, TidemarkError } from '@tidemark/protocol'
import { type Logger, withDeadline } from '@tidemark/service'
import type { RecordMetadata } from 'kafkajs'
import type { Message } from './batch.ts'
import { CLIENT } from './client-name.ts'
import { FencedProducer, isFenced } from './fenced-producer.ts'
import { type LastPublished, readLastPublished } from './last-published.ts'
import type { OffsetWatch } from './offset-watch.ts'

export interface BusOptions extends KafkaConnection {
  readonly topic: string
  readonly partitions: number
  readonly replicationFactor: number
  /** How long one send may take, kafkajs' own retries included. */
  readonly deadlineMs: number
  readonly offsets: OffsetWatch
  readonly log: Logger
}

const CLOSE_TIMEOUT_MS = 2_000

/**
 * The way to Kafka: a producer with one send in flight, which shuts out every earlier one of the topic once it has
 * claimed it. Everything that kafkajs can do wrong is dealt with here: after a broker's loss it may hang for minutes, so
 * every call has a deadline of ours, and what missed it is thrown away and built anew. Its own retries are few for the
 * same reason: an abandoned producer should fall silent, not send old records until it is refused.
 */
export class Bus {
  readonly #options: BusOptions
  readonly #cluster: Cluster
  readonly #producer: FencedProducer
  #sending = false

  private constructor(options: BusOptions, cluster: Cluster, producer: FencedProducer) {
    this.#options = options
    this.#cluster = cluster
    this.#producer = producer
  }

  /** Creates the topic if it is missing; throws TOPIC_MISMATCH if it has another number of partitions. */
  static async open(options: BusOptions): Promise<Bus> {
    const { topic, deadlineMs } = options
    const kafka = kafkaClient({ ...options, clientId: CLIENT, requestTimeoutMs: deadlineMs })
    await answered(ensureTopic(kafka, options), options, 'no answer about the topic from Kafka')
    const cluster = createCluster(kafka)
    try {
      await answered(cluster.connect(), options, 'no producer connection to Kafka')
      await answered(cluster.addTargetTopic(topic), options, 'Kafka does not say where the topic lies')
      return new Bus(options, cluster, new FencedProducer(kafka, cluster, transactionalIdOf(topic)))
    } catch (error) {
      await disconnect(cluster)
      throw error
    }
  }

  /**
   * Takes the next producer epoch of the topic, once in a life: a claim that another has followed must stay refused.
   * @returns whether every earlier publisher is shut out by our claims: Kafka may have forgotten that there were any
   */
  async take(): Promise<boolean> {
    const epoch = await answered(this.#producer.initialise(), this.#options, 'no producer id from Kafka')
    return epoch > 0
  }

  /**
   * Writes a claim to every partition. Once it returns, nothing that an earlier publisher has on its way can follow.
   * @returns the offset of the claim in each partition
   */
  async claim(epoch: number): Promise<ReadonlyMap<number, bigint>> {
    const claim = encodeRecord({ kind: 'claim', position: position(epoch, 0n), timeUs: 0n })
    const partitions = Array.from({ length: this.#options.partitions }, (_, partition) => partition)
    return this.#sendOnce(partitions.map((partition) => ({ partition, ...claim })))
  }

  /**
   * Sends one batch and returns once every in-sync replica has it. Order within a partition is kept.
   * @returns the number of partitions that acknowledged
   */
  async send(messages: readonly Message[]): Promise<number> {
    return (await this.#sendOnce(messages)).size
  }

  /** What the topic holds last, or held before those offsets; see `readLastPublished`. */
  lastPublished(before?: ReadonlyMap<number, bigint>): Promise<LastPublished> {
    const read = readLastPublished(this.#cluster, this.#options.topic, before)
    return answered(read, this.#options, 'the end of the topic cannot be read')
  }

  async #sendOnce(messages: readonly Message[]): Promise<Map<number, bigint>> {
    if (this.#sending) throw new Error('one send at a time: an idempotent producer counts its records')
    this.#sending = true
    try {
      const { topic, deadlineMs } = this.#options
      const topicMessages = [{ topic, messages: [...messages] }]
      const sent = this.#producer.sendBatch({ acks: -1, timeout: deadlineMs, topicMessages })
      return this.#acknowledged(messages, await answered(sent, this.#options, 'no acknowledgement from Kafka'))
    } finally {
      this.#sending = false
    }
  }

  #acknowledged(messages: readonly Message[], answers: readonly RecordMetadata[]): Map<number, bigint> {
    const counts = new Map<number, number>()
    for (const { partition } of messages) counts.set(partition, (counts.get(partition) ?? 0) + 1)
    const acknowledged = new Map<number, bigint>()
    for (const { partition, errorCode, baseOffset = '-1' } of answers) {
      const count = counts.get(partition)
      if (count === undefined || errorCode !== 0) continue
      this.#options.offsets.acknowledged(partition, BigInt(baseOffset), count)
      acknowledged.set(partition, BigInt(baseOffset))
    }
    if (acknowledged.size === counts.size) return acknowledged
    const missing = counts.size - acknowledged.size
    throw new TidemarkError('SERVER_UNREACHABLE', `Kafka did not acknowledge ${missing} partition(s)`)
  }

  async close(): Promise<void> {
    await disconnect(this.#cluster)
  }
}

/** What the publishers of one topic have in common: a later one shuts out the earlier. */
export function transactionalIdOf(topic: string): string {
  return `tidemark.${topic}`
}

async function disconnect(cluster: Cluster): Promise<void> {
  // Nothing waits for the goodbye: what was acknowledged is acknowledged.
  await withDeadline(cluster.disconnect(), CLOSE_TIMEOUT_MS, 'no goodbye from Kafka').catch(() => undefined)
}

async function answered<T>(promise: Promise<T>, { deadlineMs, topic }: BusOptions, what: string): Promise<T> {
  try {
    return await withDeadline(promise, deadlineMs, what)
  } catch (error) {
    if (error instanceof TidemarkError) throw error
    if (isFenced(error)) {
      throw new TidemarkError('PUBLISHER_FENCED', `another publisher has taken topic ${topic}`, { cause: error })
    }
    throw unreachable(kafkaError(error))
  }
}

/** Also what kafkajs throws without a name of its own comes from the way to a server. */
function unreachable(error: unknown): TidemarkError {
  if (error instanceof TidemarkError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new TidemarkError('SERVER_UNREACHABLE', `Kafka: ${message}`, { cause: error })
}
