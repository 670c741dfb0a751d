import { type ApplyResult, type Guard, offsetOf, type TombstoneLimits, type View } from '@tidemark/guard'
import { isTidemarkError, TidemarkError } from '@tidemark/protocol'
import type { Logger } from '@tidemark/service'
import { type BatchTerms, type Break, type FetchedRecord, type PlannedBatch, planBatches } from './batch.ts'
import { type LogRange, resumption } from './log-range.ts'
import type { NewestEpoch } from './newest-epoch.ts'
import { type Patience, persistently } from './redis.ts'

export type GapCause = 'view-missing' | 'offset-gone' | 'record-malformed' | 'epoch-unannounced'

/** What a partition needs of its surroundings. */
export interface Surroundings {
  readonly guard: Pick<Guard, 'apply' | 'declareGap' | 'view'>
  /** What Kafka still has of this partition, asked now. */
  readonly logRange: () => Promise<LogRange>
  readonly terms: BatchTerms
  readonly tombstones: TombstoneLimits
  /** Shared by the worker's partitions. */
  readonly epochs: NewestEpoch
  readonly patienceMs: number
  readonly observer: ApplyObserver
  readonly log: Logger
}

/** Told of what happened, after it happened. */
export interface ApplyObserver {
  applied(plan: PlannedBatch, result: ApplyResult & { code: 'applied' }): void
  gap(cause: GapCause): void
  /** The chain of batches is broken: Redis stands elsewhere than this worker left it. */
  displaced(): void
}

/** How often Kafka may answer with another offset than the one asked for before that counts as a hole in the log. */
const MAX_MISSES = 3
/** How often another worker may get in between before this one gives up the partition. */
const MAX_GAP_ATTEMPTS = 5

/**
 * One partition's records on their way into Redis, in order. The offset that counts is the one in the view; this class
 * only remembers which one it has asked Kafka for. Every record is either applied or lies in a declared gap: it never
 * goes on at an offset that Redis has not named, or in which a gap has not been declared first.
 */
export class PartitionApplier {
  readonly #partition: number
  readonly #in: Surroundings
  #asked: bigint | null = null
  #misses = 0

  constructor(partition: number, surroundings: Surroundings) {
    this.#partition = partition
    this.#in = surroundings
  }

  /** The offset that this partition waits for; null before it was first resumed. */
  get asked(): bigint | null {
    return this.#asked
  }

  /** Where to go on, from what Redis stores and what Kafka still has; declares a gap if the two do not meet. */
  async resume(signal: AbortSignal): Promise<bigint> {
    const patience = this.#patience(signal)
    this.#in.observer.displaced()
    const stored = await this.#storedOffset(patience)
    const decision = resumption(stored, await this.#in.logRange())
    if (decision.kind === 'gap') return this.#gapAtEnd(decision.cause, stored, decision.why, patience)
    return this.#goTo(decision.at)
  }

  /**
   * Applies one fetch.
   * @returns the offset to go on at: the one after the last record, unless Redis or a gap says otherwise
   */
  async take(records: readonly FetchedRecord[], signal: AbortSignal): Promise<bigint> {
    const [first] = records
    if (first === undefined) return this.#asked ?? this.resume(signal)
    if (first.offset !== this.#asked) return this.#missed(first.offset, signal)
    this.#misses = 0
    const patience = this.#patience(signal)
    for (const plan of planBatches(records, this.#in.terms)) {
      if (signal.aborted) break
      const next = plan.kind === 'batch' ? await this.#apply(plan, patience) : await this.#breakOff(plan, patience)
      const expected = plan.kind === 'batch' ? plan.batch.next : plan.next
      this.#goTo(next)
      if (next !== expected) break
    }
    return this.#asked
  }

  async #apply(plan: PlannedBatch, patience: Patience): Promise<bigint> {
    const { guard, tombstones, epochs, observer } = this.#in
    const { batch } = plan
    epochs.meet(...plan.epochs.keys())
    const result = await persistently('apply a batch', () => guard.apply(batch, tombstones), patience)
    switch (result.code) {
      case 'applied':
        observer.applied(plan, result)
        return batch.next
      case 'seek':
        // The batch's own end: an attempt that timed out was applied after all.
        if (result.offset !== batch.next) this.#displaced(batch.from, result.offset)
        return result.offset
      case 'view-missing':
        return this.#gapAtEnd('view-missing', null, 'Redis has lost the view of the partition', patience)
      case 'epoch-unannounced':
        return this.#gapAtEnd(
          'epoch-unannounced',
          batch.from,
          'a record of an epoch whose start was not seen',
          patience,
        )
    }
  }

  #displaced(from: bigint, stored: bigint): void {
    const { observer, log } = this.#in
    observer.displaced()
    log.info({ partition: this.#partition, from: `${from}`, stored: `${stored}` }, 'going on where Redis stands')
  }

  /** Kafka gave something else than what was asked for. */
  async #missed(first: bigint, signal: AbortSignal): Promise<bigint> {
    const asked = this.#asked
    this.#misses += 1
    const next = await this.resume(signal)
    if (next !== asked || this.#misses < MAX_MISSES) return next
    this.#misses = 0
    const why = `asked for offset ${asked}, Kafka goes on at ${first}`
    return this.#gapAtEnd('offset-gone', asked, why, this.#patience(signal))
  }

  /** Everything before the break was applied, so the view stands at it. */
  async #breakOff({ cause, at, next, error }: Break, patience: Patience): Promise<bigint> {
    const found = { partition: this.#partition, offset: `${at}`, next: `${next}` }
    if (error) this.#in.log.error({ ...found, code: error.code, mend: error.mend }, error.message)
    const why = error ? 'a record that cannot be read' : 'offsets are missing in the middle of the log'
    return this.#openGap(cause, at, why, async () => next, patience)
  }

  async #gapAtEnd(cause: GapCause, expected: bigint | null, why: string, patience: Patience): Promise<bigint> {
    return this.#openGap(cause, expected, why, async () => (await this.#in.logRange()).high, patience)
  }

  /**
   * Declares a gap, unless Redis is no longer as the caller saw it: then another worker was here, and what it left
   * decides. Ends because a view that is there is never waited for; bounded by MAX_GAP_ATTEMPTS.
   */
  async #openGap(
    cause: GapCause,
    expected: bigint | null,
    why: string,
    at: () => Promise<bigint>,
    patience: Patience,
  ): Promise<bigint> {
    const { guard, epochs, observer, log } = this.#in
    observer.displaced()
    for (let attempt = 1; attempt <= MAX_GAP_ATTEMPTS; attempt++) {
      const next = await at()
      const declare = () => guard.declareGap(next, cause, expected, epochs.value)
      if (await persistently('declare a gap', declare, patience)) {
        observer.gap(cause)
        log.warn({ partition: this.#partition, cause, next: `${next}` }, `gap: ${why}; nothing is fresh until a beat`)
        return this.#goTo(next)
      }
      const stored = await this.#storedOffset(patience)
      if (stored !== null) return this.#goTo(stored)
      expected = null
    }
    throw new TidemarkError('SERVER_UNREACHABLE', `the view of partition ${this.#partition} comes and goes`, {
      mend: 'Find what else writes under the key prefix',
    })
  }

  /** Null when there is no view, or none that can be read, which is as good as none. */
  async #storedOffset(patience: Patience): Promise<bigint | null> {
    const view = await persistently('give its view', () => this.#in.guard.view().catch(nullIfUnreadable), patience)
    if (view === null) return null
    this.#in.epochs.meet(Number.parseInt(view.epoch, 16))
    return offsetOf(view)
  }

  #goTo(offset: bigint): bigint {
    this.#asked = offset
    return offset
  }

  #patience(signal: AbortSignal): Patience {
    return { signal, patienceMs: this.#in.patienceMs, log: this.#in.log }
  }
}

function nullIfUnreadable(error: unknown): View | null {
  if (isTidemarkError(error, 'CELL_MALFORMED')) return null
  throw error
}
