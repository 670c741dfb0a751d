import type { ApplyResult, Guard, Outcome, Sight, View } from '@tidemark/guard'
import { epochOf } from '@tidemark/protocol'
import type { Logger } from '@tidemark/service'
import type { WorkerMetrics } from '@tidemark/telemetry'
import type { PlannedBatch } from './batch.ts'
import type { Beats } from './beat.ts'
import type { ApplyObserver, GapCause } from './partition-applier.ts'
import { type Applied, regression } from './regression.ts'

/** The label of events whose keyspace the configuration does not name: what is in a record is no label. */
const UNKNOWN_KEYSPACE = 'unknown'
const LOOK_INTERVAL_MS = 1_000

export interface WatchOptions {
  readonly partition: number
  readonly guard: Pick<Guard, 'look'>
  readonly metrics: WorkerMetrics
  readonly beats: Beats
  readonly isKnownKeyspace: (keyspace: string) => boolean
  readonly log: Logger
}

/** Counts what becomes of one partition's batches, and looks now and then whether anything has gone back. */
export class PartitionWatch implements ApplyObserver {
  readonly #options: WatchOptions
  #applied: Applied | null = null
  #before: View | null = null
  #epoch = 0
  #lookedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: WatchOptions) {
    this.#options = options
  }

  applied(plan: PlannedBatch, result: ApplyResult & { code: 'applied' }): void {
    const { metrics } = this.#options
    metrics.appliedBatch()
    this.#beat(plan)
    const nowMs = Date.now()
    for (const { keyspace, atMs } of plan.commits) metrics.invalidationLag(this.#label(keyspace), (nowMs - atMs) / 1000)
    for (const [i, outcome] of result.outcomes.entries()) this.#count(plan.keyspaces[i]!, outcome)
    const last = plan.batch.events.findLast((_, i) => result.outcomes[i] !== 'old-epoch')
    this.#applied = last ? { next: plan.batch.next, key: last.key, version: last.version } : null
  }

  gap(cause: GapCause): void {
    this.#options.metrics.gap(cause)
  }

  displaced(): void {
    this.#applied = null
    this.#before = null
    this.#epoch = 0
  }

  /** At most once in a second, after a fetch whose last batch had an event: one MGET. What it finds is an alarm. */
  async look(): Promise<void> {
    const applied = this.#applied
    const nowMs = performance.now()
    if (applied === null || nowMs - this.#lookedAtMs < LOOK_INTERVAL_MS) return
    this.#lookedAtMs = nowMs
    const sight = await this.#sight(applied.key)
    if (sight === null || this.#applied !== applied) return
    const found = regression(this.#before, sight, applied)
    if (found !== null) {
      this.#options.metrics.versionRegression()
      this.#options.log.error({ partition: this.#options.partition, next: `${applied.next}` }, found)
    }
    this.#before = sight.view
  }

  /** The watermarks of an ended epoch move nothing, so they are no sign of life either. */
  #beat({ batch: { epochStart, watermark } }: PlannedBatch): void {
    if (epochStart) this.#epoch = Math.max(this.#epoch, epochOf(epochStart))
    if (watermark === null) return
    if (epochOf(watermark.position) < this.#epoch) {
      this.#options.metrics.oldEpochRefused()
      return
    }
    this.#epoch = epochOf(watermark.position)
    this.#options.beats.applied(this.#options.partition)
  }

  /** Null when it cannot be seen: who applies the next batch will learn why. */
  async #sight(key: string): Promise<Sight | null> {
    try {
      return await this.#options.guard.look(key)
    } catch (error) {
      this.#options.log.debug({ err: error, partition: this.#options.partition }, 'could not look at a cell')
      return null
    }
  }

  #count(keyspace: string, outcome: Outcome): void {
    if (outcome === 'old-epoch') this.#options.metrics.oldEpochRefused()
    else this.#options.metrics.events(this.#label(keyspace), outcome)
  }

  #label(keyspace: string): string {
    return this.#options.isKnownKeyspace(keyspace) ? keyspace : UNKNOWN_KEYSPACE
  }
}
