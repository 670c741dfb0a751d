import { CLIENT_RETRY, ensureTopic, type KafkaConnection, kafkaClient } from '@tidemark/kafka'
import { TidemarkError } from '@tidemark/protocol'
import { type Logger, withDeadline } from '@tidemark/service'
import type { Kafka, Producer, RecordMetadata } from 'kafkajs'
import type { Message } from './batch.ts'
import { CLIENT } from './client-name.ts'
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
 * The way to Kafka: an idempotent producer with one send in flight. Everything that kafkajs can do wrong is dealt
 * with here: after a broker's loss it may hang for minutes, so every call has a deadline of ours, and what missed it
 * is thrown away and built anew. Its own retries are few for the same reason: an abandoned producer must fall
 * silent, not send old records for as long as the process lives.
 */
export class Bus {
  readonly #options: BusOptions
  readonly #kafka: Kafka
  readonly #producer: Producer
  #sending = false

  private constructor(options: BusOptions, kafka: Kafka, producer: Producer) {
    this.#options = options
    this.#kafka = kafka
    this.#producer = producer
  }

  /** Creates the topic if it is missing; throws TOPIC_MISMATCH if it has another number of partitions. */
  static async open(options: BusOptions): Promise<Bus> {
    const kafka = kafkaClient({ ...options, clientId: CLIENT, requestTimeoutMs: options.deadlineMs })
    await orUnreachable(ensureTopic(kafka, options), options, 'no answer about the topic from Kafka')
    const producer = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: () => explicitPartition,
      retry: CLIENT_RETRY,
    })
    try {
      await orUnreachable(producer.connect(), options, 'no producer connection to Kafka')
      return new Bus(options, kafka, producer)
    } catch (error) {
      await disconnect(producer)
      throw error
    }
  }

  /**
   * Sends one batch and returns once every in-sync replica has it. Order within a partition is kept.
   * @returns the number of partitions that acknowledged
   */
  async send(messages: readonly Message[]): Promise<number> {
    if (this.#sending) throw new Error('one send at a time: an idempotent producer counts its records')
    this.#sending = true
    try {
      const { topic } = this.#options
      const sent = this.#producer.sendBatch({
        acks: -1,
        timeout: this.#options.deadlineMs,
        topicMessages: [{ topic, messages: [...messages] }],
      })
      const answers = await orUnreachable(sent, this.#options, 'no acknowledgement from Kafka')
      return this.#acknowledged(messages, answers)
    } finally {
      this.#sending = false
    }
  }

  /** What the topic holds last; see `readLastPublished`. */
  lastPublished(): Promise<LastPublished> {
    const { topic } = this.#options
    return orUnreachable(readLastPublished(this.#kafka, topic), this.#options, 'the end of the topic cannot be read')
  }

  #acknowledged(messages: readonly Message[], answers: readonly RecordMetadata[]): number {
    const counts = new Map<number, number>()
    for (const { partition } of messages) counts.set(partition, (counts.get(partition) ?? 0) + 1)
    for (const answer of answers) {
      const count = counts.get(answer.partition)
      if (count === undefined || answer.errorCode !== 0) continue
      counts.delete(answer.partition)
      this.#options.offsets.acknowledged(answer.partition, BigInt(answer.baseOffset ?? -1), count)
    }
    if (counts.size === 0) return new Set(messages.map((m) => m.partition)).size
    throw new TidemarkError('SERVER_UNREACHABLE', `Kafka did not acknowledge ${counts.size} partition(s)`)
  }

  async close(): Promise<void> {
    await disconnect(this.#producer)
  }
}

/** kafkajs asks it for every record; the partition was chosen where the key was made. */
function explicitPartition({ message }: { message: { partition?: number } }): number {
  if (message.partition === undefined) throw new Error('a record without a partition')
  return message.partition
}

async function disconnect(producer: Producer): Promise<void> {
  // Nothing waits for the goodbye: what was acknowledged is acknowledged.
  await withDeadline(producer.disconnect(), CLOSE_TIMEOUT_MS, 'no goodbye from Kafka').catch(() => undefined)
}

async function orUnreachable<T>(promise: Promise<T>, { deadlineMs }: BusOptions, what: string): Promise<T> {
  try {
    return await withDeadline(promise, deadlineMs, what)
  } catch (error) {
    if (error instanceof TidemarkError) throw error
    const message = error instanceof Error ? error.message : String(error)
    throw new TidemarkError('SERVER_UNREACHABLE', `Kafka: ${message}`, { cause: error })
  }
}
