import type { ApplyResult, Guard, View } from '@tidemark/guard'
import { epochOf, type Position } from '@tidemark/protocol'
import type { Logger } from '@tidemark/service'
import type { WorkerMetrics } from '@tidemark/telemetry'
import type { PlannedBatch } from './batch.ts'
import type { Beats } from './beat.ts'
import type { EpochLog } from './epoch-log.ts'
import type { ApplyObserver, GapCause } from './partition-applier.ts'
import { type Applied, regression } from './regression.ts'

/** The label of events whose keyspace the configuration does not name: what is in a record is no label. */
const UNKNOWN_KEYSPACE = 'unknown'
const LOOK_INTERVAL_MS = 1_000

export interface WatchOptions {
  readonly partition: number
  readonly guard: Pick<Guard, 'look' | 'view'>
  readonly metrics: WorkerMetrics
  readonly beats: Beats
  readonly epochs: EpochLog
  readonly isKnownKeyspace: (keyspace: string) => boolean
  readonly log: Logger
}

/** Counts what becomes of one partition's batches, and looks now and then whether anything has gone back. */
export class PartitionWatch implements ApplyObserver {
  readonly #options: WatchOptions
  #applied: Applied | null = null
  #before: View | null = null
  /** The newest that Redis is known to have adopted. */
  #epoch = 0
  #isDisplaced = true
  #lookedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: WatchOptions) {
    this.#options = options
  }

  applied(plan: PlannedBatch, result: ApplyResult & { code: 'applied' }): void {
    const { metrics } = this.#options
    metrics.appliedBatch()
    this.#adopt(plan.batch.epochStart)
    this.#refuse(plan)
    this.#beat(plan)
    const nowMs = Date.now()
    for (const { keyspace, atMs } of plan.commits) metrics.invalidationLag(this.#label(keyspace), (nowMs - atMs) / 1000)
    for (const [i, outcome] of result.outcomes.entries()) {
      if (outcome !== 'old-epoch') metrics.events(this.#label(plan.keyspaces[i]!), outcome)
    }
    const last = plan.batch.events.findLast((_, i) => result.outcomes[i] !== 'old-epoch')
    this.#applied = last ? { next: plan.batch.next, key: last.key, version: last.version } : null
  }

  gap(cause: GapCause): void {
    this.#options.metrics.gap(cause)
  }

  displaced(): void {
    this.#applied = null
    this.#before = null
    this.#isDisplaced = true
  }

  /**
   * Finds out where Redis stands when that is not known; then at most once in a second, after a fetch whose last batch
   * had an event, compares: one MGET. What that finds is an alarm.
   */
  async look(): Promise<void> {
    if (this.#isDisplaced) await this.#orient()
    const applied = this.#applied
    const nowMs = performance.now()
    if (applied === null || nowMs - this.#lookedAtMs < LOOK_INTERVAL_MS) return
    this.#lookedAtMs = nowMs
    const sight = await this.#seen(() => this.#options.guard.look(applied.key))
    if (sight === undefined || this.#applied !== applied) return
    const found = regression(this.#before, sight, applied)
    if (found !== null) {
      this.#options.metrics.versionRegression()
      this.#options.log.error({ partition: this.#options.partition, next: `${applied.next}` }, found)
    }
    this.#before = sight.view
  }

  async #orient(): Promise<void> {
    const { guard, beats, partition, epochs } = this.#options
    const view = await this.#seen(() => guard.view())
    if (view === undefined) return
    this.#isDisplaced = false
    // Not the larger of the two: a Redis that went back may have gone back to an older one.
    this.#epoch = view === null ? 0 : Number.parseInt(view.epoch, 16)
    epochs.adopted(this.#epoch)
    beats.stands(partition, view)
  }

  /** The start of an epoch, or in a gap its watermark; that of an older one changes nothing. */
  #adopt(position: Position | null): void {
    if (position === null || epochOf(position) < this.#epoch) return
    this.#epoch = epochOf(position)
    this.#options.epochs.adopted(this.#epoch)
  }

  /** Whatever it is, a record of an ended epoch moves nothing. */
  #refuse({ epochs }: PlannedBatch): void {
    for (const [epoch, records] of epochs) {
      if (epoch >= this.#epoch) continue
      this.#options.metrics.oldEpochRefused(records)
      this.#options.epochs.refused(epoch, this.#epoch)
    }
  }

  /** The watermarks of an ended epoch move nothing, so they are no sign of life either. */
  #beat({ batch: { watermark } }: PlannedBatch): void {
    if (watermark === null || epochOf(watermark.position) < this.#epoch) return
    this.#adopt(watermark.position)
    this.#options.beats.applied(this.#options.partition, watermark.beatMs)
  }

  /** Undefined when it cannot be seen: who applies the next batch will learn why. */
  async #seen<T>(see: () => Promise<T>): Promise<T | undefined> {
    try {
      return await see()
    } catch (error) {
      this.#options.log.debug({ err: error, partition: this.#options.partition }, 'could not look into Redis')
      return undefined
    }
  }

  #label(keyspace: string): string {
    return this.#options.isKnownKeyspace(keyspace) ? keyspace : UNKNOWN_KEYSPACE
  }
}
