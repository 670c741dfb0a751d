import { randomUUID } from 'node:crypto'
import { type Doubt, type FillResult, Guard, judge, offsetOf, partitionKeys, type View } from '@tidemark/guard'
import { type KafkaServer, localServers, RedisServer, waitUntil } from '@tidemark/local'
import {
  defineSource,
  type EncodedRecord,
  encodeRecord,
  type Position,
  type Source,
  type SourceConfig,
  type TidemarkRecord,
} from '@tidemark/protocol'
import { redisAt } from '@tidemark/redis'
import { type Logger, serviceLog } from '@tidemark/service'
import type { Health } from '@tidemark/telemetry'
import { Redis } from 'ioredis'
import { type Admin, Kafka, logLevel, type Producer } from 'kafkajs'
import { runWorker, type WorkerTuning } from '../worker.ts'
import { WatermarkStream } from './watermark-stream.ts'

/** For tests: a topic and a Redis of one's own, a producer that speaks as a publisher would, and workers. */
export class RegionContext implements AsyncDisposable {
  readonly source: Source
  readonly server: RedisServer
  readonly redis: Redis
  readonly admin: Admin
  readonly brokers: string
  /** What `tidemark.config.ts` would hold. */
  readonly config: SourceConfig
  readonly #producer: Producer
  readonly #stack: AsyncDisposableStack

  private constructor(parts: {
    config: SourceConfig
    server: RedisServer
    redis: Redis
    brokers: string
    admin: Admin
    producer: Producer
    stack: AsyncDisposableStack
  }) {
    this.config = parts.config
    this.source = defineSource(parts.config) as unknown as Source
    this.server = parts.server
    this.redis = parts.redis
    this.admin = parts.admin
    this.brokers = parts.brokers
    this.#producer = parts.producer
    this.#stack = parts.stack
  }

  static async open(options: { partitions?: number; kafka?: KafkaServer; topic?: false } = {}): Promise<RegionContext> {
    await using stack = new AsyncDisposableStack()
    const brokers = options.kafka?.brokers ?? localServers().kafkaBrokers
    const server = stack.use(await RedisServer.start({ name: 'worker-test' }))
    const redis = new Redis(server.url, { maxRetriesPerRequest: null })
    redis.on('error', () => undefined)
    stack.defer(() => redis.disconnect())
    const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING, retry: { retries: 20 } })
    const admin = kafka.admin()
    await admin.connect()
    stack.defer(() => admin.disconnect())
    const config = testConfig(options.partitions ?? 1)
    const producer = kafka.producer({ createPartitioner: () => (args) => args.message.partition ?? 0 })
    await producer.connect()
    stack.defer(() => producer.disconnect())
    const ctx = new RegionContext({ config, server, redis, brokers, admin, producer, stack: stack.move() })
    if (options.topic !== false) await ctx.makeTopic()
    return ctx
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }

  /** Writes records to a partition, in order; returns the offset of the first. */
  async publish(partition: number, ...records: readonly TidemarkRecord[]): Promise<bigint> {
    return this.publishRaw(partition, ...records.map(encodeRecord))
  }

  async publishRaw(partition: number, ...records: readonly EncodedRecord[]): Promise<bigint> {
    const messages = records.map(({ key, value }) => ({ key, value, partition }))
    const [answer] = await this.#producer.send({ topic: this.source.topic, messages })
    return BigInt(answer!.baseOffset!)
  }

  /** Starts a worker in this process; it is stopped at the latest with the context. */
  start(
    tuning: Partial<WorkerTuning> = {},
    options: { health?: Health; log?: Logger; redisUrl?: string } = {},
  ): RunningWorker {
    const worker = new RunningWorker((signal) =>
      runWorker({
        source: this.source,
        region: 'test',
        redis: redisAt(options.redisUrl ?? this.server.url),
        brokers: this.brokers.split(','),
        log: options.log ?? serviceLog('worker-test', process.env.TIDEMARK_LOG_LEVEL ?? 'silent'),
        signal,
        ...(options.health && { health: options.health }),
        tuning: { kafkaSessionMs: 2_000, ...tuning },
      }),
    )
    this.#stack.use(worker)
    return worker
  }

  /** How many workers the consumer group counts. */
  async members(): Promise<number> {
    const { groups } = await this.admin.describeGroups([`tidemark.${this.source.name}.test`])
    return groups[0]!.members.length
  }

  /** The offset of partition 0 that the consumer group shows. */
  async mirrored(): Promise<bigint> {
    const groupId = `tidemark.${this.source.name}.test`
    const [topic] = await this.admin.fetchOffsets({ groupId, topics: [this.source.topic] })
    return BigInt(topic?.partitions.find(({ partition }) => partition === 0)?.offset ?? -1)
  }

  /** What retention does, at once. */
  async removeRecordsBefore(offset: bigint): Promise<void> {
    const { topic } = this.source
    // The client knows the leaders only of topics that it has asked about.
    await this.admin.fetchTopicOffsets(topic)
    await this.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: `${offset}` }] })
  }

  /** Deletes the topic with all its records and makes it again. */
  async remakeTopic(): Promise<void> {
    await this.admin.deleteTopics({ topics: [this.source.topic] })
    await this.makeTopic()
  }

  async makeTopic(): Promise<void> {
    const { topic, partitions } = this.source
    const isMade = async () => {
      // While it is being deleted it still exists, with its records.
      await this.admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions: partitions }] })
      return (await this.admin.fetchTopicOffsets(topic)).every(({ high }) => high === '0')
    }
    await waitUntil('the topic is made', isMade, { timeoutMs: 30_000 })
  }

  /** Watermarks, one after another, to each of the partitions. */
  streamWatermarks(partitions: readonly number[], fromLsn: number): WatermarkStream {
    return new WatermarkStream(this, partitions, fromLsn)
  }

  guard(partition = 0): Guard {
    return new Guard(this.redis, partitionKeys(this.source.keyPrefix, partition))
  }

  async view(partition = 0): Promise<View | null> {
    return this.guard(partition).view()
  }

  /** Waits until the partition's view is as it should be. */
  async untilView(what: string, isSo: (view: View) => boolean, partition = 0): Promise<View> {
    let view: View | null = null
    const look = async () => {
      view = await this.view(partition)
      return view !== null && isSo(view)
    }
    await waitUntil(what, look, { timeoutMs: 30_000 })
    return view!
  }

  async untilOffset(next: bigint, partition = 0): Promise<View> {
    return this.untilView(`offset ${next} is applied`, (view) => offsetOf(view) >= next, partition)
  }

  /** Waits for the first gap of a fresh region and closes it at the watermark. */
  async untilTrusted(at: TidemarkRecord & { kind: 'watermark' }, partition = 0): Promise<View> {
    await this.untilView('there is a view', () => true, partition)
    const offset = await this.publish(partition, at)
    return this.untilOffset(offset + 1n, partition)
  }

  /** Why a reader without a session would not be served the value as fresh; null when it would. */
  async doubt(key: string, keyspace: string): Promise<Doubt | null> {
    const { view, cell } = await this.guard().look(key)
    const terms = { keyspace, contract: { maxStalenessMs: 60_000 }, clockSkewMs: 0, demand: null }
    const verdict = judge(view, cell, terms, Date.now())
    return verdict.fresh ? null : verdict.doubt
  }

  /** Stores a live value, as an app would. */
  async fill(key: string, keyspace: string, low: Position): Promise<FillResult> {
    const id = randomUUID().replaceAll('-', '').slice(0, 16)
    await this.guard().lease(key, keyspace, id, 5_000, null)
    const label = { low, high: low }
    return this.guard().fill(key, keyspace, id, { label, loadedAt: null, ttlMs: 60_000, payload: Buffer.from('value') })
  }
}

/** A worker that runs in this process. */
export class RunningWorker implements AsyncDisposable {
  readonly ended: Promise<void>
  readonly #stopping = new AbortController()

  constructor(run: (signal: AbortSignal) => Promise<void>) {
    this.ended = run(this.#stopping.signal)
    this.ended.catch(() => undefined)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.ended.catch(() => undefined)
  }
}

function testConfig(partitions: number): SourceConfig {
  return {
    name: `w${randomUUID().slice(0, 8)}`,
    partitions,
    keyspaces: {
      product: { key: 'product:{id}', tables: { 'public.products': { id: 'id' } } },
      article: {
        key: 'article:{id}',
        tables: { 'public.articles': { id: 'id' } },
        contract: { retainStaleMs: 60_000 },
      },
    },
  }
}
