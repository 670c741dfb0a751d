import {
  CLIENT_RETRY,
  coordinatorCause,
  type KafkaConnection,
  kafkaClient,
  kafkaError,
  wrongPartitions,
} from '@tidemark/kafka'
import { TidemarkError } from '@tidemark/protocol'
import { type Logger, withDeadline } from '@tidemark/service'
import type { Admin, Consumer, EachBatchPayload, Kafka } from 'kafkajs'
import type { FetchedRecord } from './batch.ts'
import type { LogRange } from './log-range.ts'

export interface BusOptions extends KafkaConnection {
  readonly clientId: string
  readonly groupId: string
  readonly topic: string
  /** P of the configuration; another number in Kafka would put keys where no reader looks. */
  readonly partitions: number
  readonly partitionsConcurrently: number
  readonly fetchMaxBytes: number
  /** A fetch is answered once this much is there, */
  readonly fetchMinBytes: number
  /** or after this time with what there is; never later than the next heartbeat. */
  readonly fetchWaitMs: number
  readonly sessionTimeoutMs: number
  /** Without a sign of life from Kafka for this long the client is given up. */
  readonly silenceMs: number
  readonly log: Logger
}

/** What is done with the partitions that the group assigns. */
export interface PartitionHandler {
  /** Told of every assignment: these are ours, and no others. */
  assigned(partitions: readonly number[]): void
  /** Asked of each partition of an assignment, before anything is fetched for it: the offset at which it goes on. */
  resume(partition: number, signal: AbortSignal): Promise<bigint>
  /** One fetch of one partition, never two of the same at once. Returns the offset to go on at. */
  take(partition: number, records: readonly FetchedRecord[], signal: AbortSignal): Promise<bigint>
}

const REQUEST_TIMEOUT_MS = 5_000
const CLOSE_TIMEOUT_MS = 5_000
/** Several must fit into a session, or one that is late ends it. */
const HEARTBEATS_PER_SESSION = 4
const MIRROR_INTERVAL_MS = 3_000
/** How long a batch may take before the other partitions go on without it: one fetch waits for all that it brought. */
const SET_ASIDE_MS = 1_000

/**
 * The region's end of the Kafka topic, for the life of one client. When anything is wrong with it, {@link consume}
 * throws and the bus is closed: kafkajs can go silent after an unclean loss of a broker, and it has more than one
 * way to restart itself, so there is exactly one way here, a new client.
 */
export class Bus {
  readonly #options: BusOptions
  readonly #kafka: Kafka
  readonly #consumer: Consumer
  readonly #admin: Admin
  readonly #ending = new AbortController()
  #assignment = new AbortController()
  /** Aborted by the next assignment, and at the end: whatever is under way then decides nothing more. */
  #held = AbortSignal.abort()
  readonly #aside = new Set<Promise<void>>()
  #signOfLifeMs = performance.now()
  #mirroredMs = 0
  readonly #goingOnAt = new Map<number, bigint>()

  private constructor(options: BusOptions, kafka: Kafka) {
    this.#options = options
    this.#kafka = kafka
    this.#admin = kafka.admin()
    this.#consumer = kafka.consumer({
      groupId: options.groupId,
      sessionTimeout: options.sessionTimeoutMs,
      rebalanceTimeout: options.sessionTimeoutMs,
      heartbeatInterval: heartbeatMs(options),
      minBytes: Math.min(options.fetchMinBytes, options.fetchMaxBytes),
      maxBytes: options.fetchMaxBytes,
      maxBytesPerPartition: Math.ceil(options.fetchMaxBytes / sharesOf(options)),
      maxWaitTimeInMs: Math.min(options.fetchWaitMs, heartbeatMs(options)),
      allowAutoTopicCreation: false,
      retry: { ...CLIENT_RETRY, restartOnFailure: async () => false },
    })
  }

  /** Throws TOPIC_MISMATCH, SERVER_UNREACHABLE or DEADLINE_EXCEEDED. */
  static async open(options: BusOptions): Promise<Bus> {
    const bus = new Bus(options, kafkaClient({ ...options, requestTimeoutMs: REQUEST_TIMEOUT_MS }))
    try {
      await withDeadline(bus.#admin.connect(), REQUEST_TIMEOUT_MS, 'no connection to Kafka')
      await bus.ranges()
      return bus
    } catch (error) {
      await bus.close()
      throw kafkaError(error)
    }
  }

  /** What Kafka has of each partition, asked now. */
  async ranges(): Promise<ReadonlyMap<number, LogRange>> {
    const { topic, partitions } = this.#options
    const asked = this.#admin.fetchTopicOffsets(topic).catch((error: unknown) => {
      throw isUnknownTopic(error) ? noTopic(topic, error) : kafkaError(error)
    })
    const offsets = await withDeadline(asked, REQUEST_TIMEOUT_MS, 'no offsets from Kafka')
    if (offsets.length !== partitions) throw wrongPartitions(topic, offsets.length, partitions)
    return new Map(offsets.map((o) => [o.partition, { low: BigInt(o.low), high: BigInt(o.high) }]))
  }

  /**
   * Consumes until the signal is aborted: then the batch in hand is finished and the group left.
   * Throws whatever ended it otherwise.
   */
  async consume(handler: PartitionHandler, signal: AbortSignal): Promise<void> {
    const ended = AbortSignal.any([signal, this.#ending.signal])
    this.#listen(handler, ended)
    await withDeadline(this.#consumer.connect(), REQUEST_TIMEOUT_MS, 'no connection to Kafka')
    await this.#consumer.subscribe({ topic: this.#options.topic, fromBeginning: true })
    const watchdog = setInterval(() => this.#checkSilence(), Math.min(1_000, this.#options.silenceMs))
    try {
      this.#signOfLife()
      // Not awaited: it can hang for as long as the group does, and the watchdog must be able to end it.
      this.#run(handler).catch((error: unknown) => this.fail(error))
      await aborted(ended)
    } finally {
      clearInterval(watchdog)
    }
    if (!signal.aborted) throw await this.#error(this.#ending.signal.reason)
  }

  async #error(reason: unknown): Promise<unknown> {
    const cause = coordinatorCause(reason, this.#kafka, { type: 'group', id: this.#options.groupId })
    return kafkaError(await withDeadline(cause, REQUEST_TIMEOUT_MS, 'no coordinator from Kafka'))
  }

  /** Ends consuming with an error: what is seen from outside to be wrong with this client. */
  fail(error: unknown): void {
    this.#ending.abort(error)
  }

  /** Leaves the group and closes the connections; bounded, and harmless at any time. */
  async close(): Promise<void> {
    const closing = Promise.allSettled([...this.#aside, this.#consumer.disconnect(), this.#admin.disconnect()])
    await withDeadline(closing, CLOSE_TIMEOUT_MS, 'Kafka client not closed').catch((error: unknown) => {
      this.#options.log.debug({ err: error }, 'leaving a Kafka client behind')
    })
    this.#ending.abort(new TidemarkError('SERVER_UNREACHABLE', 'the Kafka client is closed'))
  }

  async #run(handler: PartitionHandler): Promise<void> {
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: this.#options.partitionsConcurrently,
      eachBatch: (payload) => this.#take(payload, handler),
    })
  }

  #listen(handler: PartitionHandler, signal: AbortSignal): void {
    const { events } = this.#consumer
    const signOfLife = () => this.#signOfLife()
    // Not FETCH: it is emitted for a fetch that failed, too. These come only with an answer from the server.
    this.#consumer.on(events.HEARTBEAT, signOfLife)
    this.#consumer.on(events.REBALANCING, signOfLife)
    this.#consumer.on(events.CRASH, ({ payload }) => this.fail(payload.error))
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) => {
      this.#signOfLife()
      // Before this listener returns, kafkajs fetches nothing for the new assignment.
      const partitions = payload.memberAssignment[this.#options.topic] ?? []
      this.#pause(partitions)
      this.#prepare(partitions, handler, signal).catch((error: unknown) => this.fail(error))
    })
  }

  async #prepare(partitions: readonly number[], handler: PartitionHandler, signal: AbortSignal): Promise<void> {
    this.#assignment.abort(new TidemarkError('SERVER_UNREACHABLE', 'the group has assigned partitions anew'))
    this.#assignment = new AbortController()
    const held = AbortSignal.any([signal, this.#assignment.signal])
    this.#held = held
    this.#goingOnAt.clear()
    handler.assigned(partitions)
    this.#options.log.info({ partitions }, 'partitions assigned')
    await Promise.all(partitions.map((partition) => this.#resume(partition, handler, held)))
  }

  /**
   * Every assignment starts where Redis stands. A newer one makes an older one's answer void. Each partition by itself:
   * one whose part of a Redis cluster is away keeps no other waiting.
   */
  async #resume(partition: number, handler: PartitionHandler, held: AbortSignal): Promise<void> {
    try {
      this.#goOn(partition, await handler.resume(partition, held), held)
    } catch (error) {
      if (!held.aborted) throw error
    }
  }

  #goOn(partition: number, offset: bigint, held: AbortSignal): void {
    if (held.aborted) return
    this.#seek(partition, offset)
    this.#consumer.resume([{ topic: this.#options.topic, partitions: [partition] }])
  }

  async #take(payload: EachBatchPayload, handler: PartitionHandler): Promise<void> {
    const held = this.#held
    if (held.aborted) return
    const { batch, resolveOffset } = payload
    const { partition } = batch
    const records = batch.messages.map((m) => ({ offset: BigInt(m.offset), key: m.key, value: m.value }))
    const taking = this.#holdingMembership(payload, held, (hold) => handler.take(partition, records, hold))
    if (!(await settlesWithin(taking, SET_ASIDE_MS))) {
      this.#setAside(partition, taking, handler, held)
      return
    }
    const next = await taking.catch((error: unknown) => {
      if (held.aborted) return null
      throw error
    })
    // Assigned anew meanwhile, as may happen with several brokers: whose the partition is was decided there.
    if (next === null || held.aborted) return
    this.#signOfLife()
    if (next === BigInt(batch.lastOffset()) + 1n) resolveOffset(batch.lastOffset())
    else this.#seek(partition, next)
    this.#mirror(partition, next)
  }

  /** Nothing more is fetched for the partition until what it has in hand is done: at most one batch for each waits. */
  #setAside(partition: number, taking: Promise<bigint>, handler: PartitionHandler, held: AbortSignal): void {
    this.#pause([partition])
    this.#options.log.debug({ partition }, 'Redis keeps a batch waiting; the other partitions go on')
    const goOn = taking.then(
      (next) => {
        if (held.aborted) return
        this.#goOn(partition, next, held)
        this.#mirror(partition, next)
      },
      // What was wrong with Redis has ended this client already; the group's heartbeat may fail without that.
      () => (held.aborted ? undefined : this.#resume(partition, handler, held)),
    )
    const aside = goOn.catch((error: unknown) => this.fail(error)).finally(() => this.#aside.delete(aside))
    this.#aside.add(aside)
  }

  /** Keeps the member alive while Redis keeps a batch waiting, and lets go of the batch when the group has moved on. */
  async #holdingMembership<T>(
    { heartbeat }: EachBatchPayload,
    signal: AbortSignal,
    run: (held: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const hold = new AbortController()
    let isLost = false
    const letGo = () => hold.abort(signal.reason)
    const lose = (error: unknown) => {
      isLost = true
      hold.abort(error)
    }
    signal.addEventListener('abort', letGo)
    const pulse = setInterval(() => heartbeat().catch(lose), heartbeatMs(this.#options))
    try {
      return await run(hold.signal)
    } catch (error) {
      if (!isLost && !signal.aborted) this.fail(error)
      throw error
    } finally {
      clearInterval(pulse)
      signal.removeEventListener('abort', letGo)
    }
  }

  /** The group's offsets are for people who look at Kafka's own lag; nothing reads them back. */
  #mirror(partition: number, offset: bigint): void {
    this.#goingOnAt.set(partition, offset)
    const nowMs = performance.now()
    if (nowMs - this.#mirroredMs < MIRROR_INTERVAL_MS) return
    this.#mirroredMs = nowMs
    const { topic, log } = this.#options
    const offsets = Array.from(this.#goingOnAt, ([of, at]) => ({ topic, partition: of, offset: `${at}` }))
    this.#consumer.commitOffsets(offsets).catch((error: unknown) => {
      log.debug({ err: error }, 'the group offsets were not written; only monitoring reads them')
    })
  }

  #pause(partitions: readonly number[]): void {
    if (partitions.length > 0) this.#consumer.pause([{ topic: this.#options.topic, partitions: [...partitions] }])
  }

  #seek(partition: number, offset: bigint): void {
    this.#consumer.seek({ topic: this.#options.topic, partition, offset: `${offset}` })
  }

  #signOfLife(): void {
    this.#signOfLifeMs = performance.now()
  }

  #checkSilence(): void {
    const silentMs = Math.round(performance.now() - this.#signOfLifeMs)
    if (silentMs < this.#options.silenceMs) return
    this.fail(new TidemarkError('DEADLINE_EXCEEDED', `no sign of life from Kafka for ${silentMs} ms`))
  }
}

/** By Kafka's code for it; within kafkajs' retries it is a cause. */
function isUnknownTopic(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('type' in error && error.type === 'UNKNOWN_TOPIC_OR_PARTITION') || isUnknownTopic(error.cause)
}

function noTopic(topic: string, cause: unknown): TidemarkError {
  return new TidemarkError('SERVER_UNREACHABLE', `there is no topic ${topic} yet`, {
    mend: 'The publisher makes it when it starts',
    cause,
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** So many partitions share a fetch: one that has a backlog would fill it, and the others would wait, and age. */
function sharesOf({ partitionsConcurrently }: BusOptions): number {
  return 2 * partitionsConcurrently
}

async function settlesWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), ms)
  const settled = () => resolve(true)
  work.then(settled, settled)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

function heartbeatMs({ sessionTimeoutMs }: BusOptions): number {
  return Math.ceil(sessionTimeoutMs / HEARTBEATS_PER_SESSION)
}
