import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Guard, partitionKeys, type RedisClient, type TombstoneLimits } from '@tidemark/guard'
import { allKeyspaces, type Source } from '@tidemark/protocol'
import type { Logger } from '@tidemark/service'
import type { WorkerMetrics } from '@tidemark/telemetry'
import type { FetchedRecord } from './batch.ts'
import type { Beats } from './beat.ts'
import type { PartitionHandler } from './bus.ts'
import type { EpochLog } from './epoch-log.ts'
import type { LogRange } from './log-range.ts'
import { NewestEpoch } from './newest-epoch.ts'
import { PartitionApplier } from './partition-applier.ts'
import { PartitionWatch } from './partition-watch.ts'
import { sheddingGuard } from './shedding.ts'

export interface RegionOptions {
  readonly source: Source
  readonly redis: RedisClient
  readonly ranges: () => Promise<ReadonlyMap<number, LogRange>>
  readonly maxEventsPerBatch: number
  readonly maxBytesPerBatch: number
  readonly tombstones: TombstoneLimits
  readonly patienceMs: number
  readonly metrics: WorkerMetrics
  readonly beats: Beats
  readonly epochs: EpochLog
  readonly log: Logger
}

interface Lane {
  readonly applier: PartitionApplier
  readonly watch: PartitionWatch
}

/** The partitions that this worker holds in its region's Redis, for the life of one Kafka client. */
export class Region implements PartitionHandler {
  readonly #options: RegionOptions
  readonly #lanes = new Map<number, Lane>()
  readonly #epochs = new NewestEpoch()
  #asking: Promise<ReadonlyMap<number, LogRange>> | null = null

  constructor(options: RegionOptions) {
    this.#options = options
  }

  assigned(partitions: readonly number[]): void {
    this.#options.beats.assign(partitions)
    this.#lanes.clear()
    for (const partition of partitions) this.#lanes.set(partition, this.#lane(partition))
  }

  async resume(partition: number, signal: AbortSignal): Promise<bigint> {
    const lane = this.#lanes.get(partition)
    assert(lane, 'a partition is resumed after it was assigned')
    const offset = await lane.applier.resume(signal)
    await lane.watch.look()
    return offset
  }

  async take(partition: number, records: readonly FetchedRecord[], signal: AbortSignal): Promise<bigint> {
    const lane = this.#lanes.get(partition)
    // Fetched before a rebalance took the partition away: whoever has it now applies it.
    if (lane === undefined) return records[0]?.offset ?? 0n
    const next = await lane.applier.take(records, signal)
    await lane.watch.look()
    return next
  }

  /** Records between what is applied and the end of the log; undefined before the first assignment is done. */
  lagRecords(ranges: ReadonlyMap<number, LogRange>): number | undefined {
    let lag = 0n
    for (const [partition, { applier }] of this.#lanes) {
      const range = ranges.get(partition)
      if (applier.asked === null || range === undefined) return undefined
      if (range.high > applier.asked) lag += range.high - applier.asked
    }
    return Number(lag)
  }

  #lane(partition: number): Lane {
    const { source, redis, maxEventsPerBatch, maxBytesPerBatch, tombstones, patienceMs, metrics, beats, epochs, log } =
      this.#options
    const guard = new Guard(redis, partitionKeys(source.keyPrefix, partition))
    const keyspaces = new Map(allKeyspaces(source).map((keyspace) => [keyspace.name, keyspace]))
    const isKnownKeyspace = (name: string) => keyspaces.has(name)
    const watch = new PartitionWatch({ partition, guard, metrics, beats, epochs, isKnownKeyspace, log })
    const applier = new PartitionApplier(partition, {
      guard: sheddingGuard({ partition, guard, metrics, log }),
      logRange: () => this.#range(partition),
      terms: {
        maxEvents: maxEventsPerBatch,
        maxBytes: maxBytesPerBatch,
        contractOf: (name) => keyspaces.get(name)?.contract,
      },
      tombstones,
      epochs: this.#epochs,
      patienceMs,
      observer: watch,
      log,
    })
    return { applier, watch }
  }

  /**
   * One question to Kafka serves all partitions that ask in the same turn. It is put after every one of them has asked,
   * so none gets an end that is older than what it noticed.
   */
  async #range(partition: number): Promise<LogRange> {
    this.#asking ??= nextTurn().then(() => {
      this.#asking = null
      return this.#options.ranges()
    })
    return (await this.#asking).get(partition)!
  }
}
