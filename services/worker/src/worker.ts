import { DEFAULT_TOMBSTONE_BOUNDS, type TombstoneBounds, tombstoneLimits } from '@tidemark/guard'
import type { KafkaConnection } from '@tidemark/kafka'
import { allKeyspaces, type Keyspace, type Source } from '@tidemark/protocol'
import { type RedisConnection, RegionRedis } from '@tidemark/redis'
import { type Logger, outageLevel, retrying } from '@tidemark/service'
import { type Health, type WorkerMetrics, workerMetrics } from '@tidemark/telemetry'
import { Beats } from './beat.ts'
import { Bus, type PartitionHandler } from './bus.ts'
import { type Alarm, alarmsOf, type Delay, delayOf, readingsOf, sentenceOf } from './cut-off.ts'
import { DelayLog } from './delay-log.ts'
import { EpochLog } from './epoch-log.ts'
import { LagProbe } from './lag-probe.ts'
import { persistently } from './redis.ts'
import { Region } from './region.ts'

export interface WorkerOptions extends KafkaConnection {
  readonly source: Source
  readonly region: string
  readonly redis: RedisConnection
  /** `tidemark.<source>.<region>` unless given: the workers of a region share its partitions. */
  readonly groupId?: string
  readonly log: Logger
  /** Ends the worker in good order. */
  readonly signal: AbortSignal
  readonly health?: Health
  readonly tuning?: Partial<WorkerTuning>
}

/** Bounds and times; the settings document them. */
export interface WorkerTuning extends TombstoneBounds {
  readonly stallMs: number
  readonly maxEventsPerBatch: number
  readonly maxBytesPerBatch: number
  readonly partitionsConcurrently: number
  readonly fetchMaxBytes: number
  readonly fetchMinBytes: number
  readonly fetchWaitMs: number
  readonly redisTimeoutMs: number
  readonly redisPatienceMs: number
  readonly kafkaSessionMs: number
  readonly kafkaSilenceMs: number
}

export const DEFAULT_TUNING: WorkerTuning = {
  ...DEFAULT_TOMBSTONE_BOUNDS,
  stallMs: 10_000,
  maxEventsPerBatch: 500,
  maxBytesPerBatch: 1_048_576,
  partitionsConcurrently: 4,
  fetchMaxBytes: 1_048_576,
  fetchMinBytes: 1,
  fetchWaitMs: 50,
  redisTimeoutMs: 2_000,
  redisPatienceMs: 10_000,
  kafkaSessionMs: 10_000,
  kafkaSilenceMs: 20_000,
}

const LAG_INTERVAL_MS = 2_000
const DELAY_LOOK_MS = 1_000

/**
 * Applies the topic's records to the region's Redis until the signal is aborted, then leaves the group and returns.
 * What servers do wrong is tried again for as long as it takes. Throws only what somebody has to mend, such as
 * TOPIC_MISMATCH or SERVER_REFUSED.
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const tuning = { ...DEFAULT_TUNING, ...options.tuning }
  const redis = new RegionRedis(options.redis, {
    clientName: `tidemark-worker-${options.region}`,
    commandTimeoutMs: tuning.redisTimeoutMs,
    log: options.log,
  })
  const worker = new Worker(options, tuning, redis)
  const delayLog = new DelayLog(options.log)
  const delayTimer = setInterval(() => delayLog.noticed(worker.delay, worker.alarms), DELAY_LOOK_MS)
  try {
    await worker.run()
  } catch (error) {
    if (!options.signal.aborted) throw error
  } finally {
    clearInterval(delayTimer)
    redis.close()
  }
}

class Worker {
  readonly #options: WorkerOptions
  readonly #tuning: WorkerTuning
  readonly #redis: RegionRedis
  readonly #keyspaces: readonly Keyspace[]
  readonly #beats = new Beats()
  readonly #epochs: EpochLog
  readonly #metrics: WorkerMetrics
  #lag: LagProbe | undefined
  #hasJoined = false

  constructor(options: WorkerOptions, tuning: WorkerTuning, redis: RegionRedis) {
    this.#options = options
    this.#tuning = tuning
    this.#redis = redis
    const { source, region } = options
    this.#keyspaces = allKeyspaces(source)
    this.#epochs = new EpochLog(options.log)
    this.#metrics = workerMetrics({
      region,
      topic: source.topic,
      keyspaces: this.#keyspaces.map((k) => k.name),
      read: () => ({ ...readingsOf(this.#beats.now(), this.#keyspaces), consumerLagRecords: this.#lag?.records }),
    })
    options.health?.watch('beats', () => this.#unready())
  }

  get delay(): Delay | null {
    const { clockSkewMs } = this.#options.source
    return delayOf(this.#beats.now(), { stallMs: this.#tuning.stallMs, clockSkewMs })
  }

  get alarms(): Alarm[] {
    return alarmsOf(this.#beats.now(), this.#keyspaces)
  }

  /** One client of Kafka after another; stopped by the signal, and by what trying again cannot mend. */
  async run(): Promise<void> {
    const { signal, log } = this.#options
    await retrying((healthy) => this.#session(healthy), {
      signal,
      minDelayMs: 100,
      maxDelayMs: 5_000,
      onRetry: ({ error, failures, outageMs, delayMs }) => {
        const facts = { err: error, failures, outageMs: Math.round(outageMs), delayMs: Math.round(delayMs) }
        log[outageLevel(outageMs)](facts, 'starting again with a new Kafka client')
      },
    })
  }

  async #session(healthy: () => void): Promise<void> {
    const { signal, log } = this.#options
    // Without its Redis a worker would only keep partitions from others.
    await persistently('answer', () => this.#redis.ping(), { signal, patienceMs: this.#tuning.redisPatienceMs, log })
    const bus = await Bus.open(this.#busOptions())
    try {
      const region = this.#region(bus)
      using lag = this.#probeLag(bus, region)
      this.#lag = lag
      await bus.consume(this.#noticing(region, healthy), signal)
    } finally {
      await bus.close()
    }
  }

  /** A batch that was taken is the sign that all is well again: Kafka gave it, and Redis has it. */
  #noticing(region: Region, healthy: () => void): PartitionHandler {
    return {
      assigned: (partitions) => {
        region.assigned(partitions)
        // Where there are more workers than partitions, one stands by.
        if (partitions.length === 0) this.#hasJoined = true
      },
      resume: async (partition, signal) => {
        const offset = await region.resume(partition, signal)
        this.#hasJoined = true
        return offset
      },
      take: async (partition, records, signal) => {
        const next = await region.take(partition, records, signal)
        healthy()
        return next
      },
    }
  }

  #unready(): string | undefined {
    if (!this.#hasJoined) return 'no partition has been assigned yet'
    const { delay } = this
    return delay === null ? undefined : sentenceOf(delay, this.alarms, Date.now())
  }

  #region(bus: Bus): Region {
    const { source, log } = this.#options
    return new Region({
      source,
      redis: this.#redis,
      ranges: () => bus.ranges(),
      maxEventsPerBatch: this.#tuning.maxEventsPerBatch,
      maxBytesPerBatch: this.#tuning.maxBytesPerBatch,
      tombstones: tombstoneLimits(this.#tuning, source.partitions),
      patienceMs: this.#tuning.redisPatienceMs,
      metrics: this.#metrics,
      beats: this.#beats,
      epochs: this.#epochs,
      log,
    })
  }

  #probeLag(bus: Bus, region: Region): LagProbe {
    return new LagProbe({
      ranges: () => bus.ranges(),
      lagRecords: (ranges) => region.lagRecords(ranges),
      intervalMs: LAG_INTERVAL_MS,
      log: this.#options.log,
    })
  }

  #busOptions() {
    const { source, region, brokers, tls, sasl, groupId, log } = this.#options
    return {
      brokers,
      tls,
      sasl,
      clientId: `tidemark-worker-${region}`,
      groupId: groupId ?? `tidemark.${source.name}.${region}`,
      topic: source.topic,
      partitions: source.partitions,
      partitionsConcurrently: this.#tuning.partitionsConcurrently,
      fetchMaxBytes: this.#tuning.fetchMaxBytes,
      fetchMinBytes: this.#tuning.fetchMinBytes,
      fetchWaitMs: this.#tuning.fetchWaitMs,
      sessionTimeoutMs: this.#tuning.kafkaSessionMs,
      silenceMs: this.#tuning.kafkaSilenceMs,
      log,
    }
  }
}
