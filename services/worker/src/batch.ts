import type { Batch, Invalidation } from '@tidemark/guard'
import {
  decodeRecord,
  epochOf,
  isTidemarkError,
  type Position,
  type TidemarkError,
  type TidemarkRecord,
} from '@tidemark/protocol'

/** A Kafka record as it was fetched. */
export interface FetchedRecord {
  readonly offset: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
}

/** When an event's transaction committed, ms since 1970 by the primary's clock. */
export interface Commit {
  readonly keyspace: string
  readonly atMs: number
}

/** Consecutive records, ready for the guard. */
export interface PlannedBatch {
  readonly kind: 'batch'
  readonly batch: Batch
  /** The keyspace of each of the batch's events, in their order. */
  readonly keyspaces: readonly string[]
  /** Of every event in it, those included that were folded into a newer one of the same key. */
  readonly commits: readonly Commit[]
}

/** A place in the log that cannot be read over in silence: what stood there may have been an invalidation. */
export interface Break {
  readonly kind: 'break'
  readonly cause: 'record-malformed' | 'offset-gone'
  /** The offset that cannot be read, and the one to go on at. */
  readonly at: bigint
  readonly next: bigint
  /** Of a record that cannot be decoded. */
  readonly error: TidemarkError | null
}

export interface BatchTerms {
  /** Most events and floors in one batch; the script blocks Redis for as long as it runs. */
  readonly maxEvents: number
  /** How long a value of that keyspace is retained as stale; 0 for a keyspace that the configuration does not name. */
  readonly retainStaleMs: (keyspace: string) => number
}

/**
 * Turns consecutive records of one partition into batches for the guard, in order. A batch ends before the start of
 * an epoch, at `maxEvents`, and at a break: what came before a break is applied before the gap is declared.
 */
export function* planBatches(records: readonly FetchedRecord[], terms: BatchTerms): Generator<PlannedBatch | Break> {
  const [first] = records
  if (first === undefined) return
  let draft = new Draft(first.offset, terms)
  for (const fetched of records) {
    const broken = fetched.offset === draft.next ? undefined : hole(draft.next, fetched.offset)
    const record = decode(fetched)
    const announcesEpoch = record.kind === 'epoch'
    if (broken || record.kind === 'break' || announcesEpoch || draft.isFull) {
      if (!draft.isEmpty) yield draft.finish()
      if (broken) yield broken
      draft = new Draft(fetched.offset, terms)
    }
    if (record.kind === 'break') {
      yield record
      draft = new Draft(record.next, terms)
    } else {
      draft.add(record)
    }
  }
  if (!draft.isEmpty) yield draft.finish()
}

function hole(at: bigint, next: bigint): Break {
  return { kind: 'break', cause: 'offset-gone', at, next, error: null }
}

function decode({ offset, key, value }: FetchedRecord): TidemarkRecord | Break {
  try {
    return decodeRecord(key, value)
  } catch (error) {
    if (!isTidemarkError(error)) throw error
    return { kind: 'break', cause: 'record-malformed', at: offset, next: offset + 1n, error }
  }
}

interface Folded {
  readonly invalidation: Invalidation
  readonly keyspace: string
}

/** A batch in the making. One key's events are folded to the newest: the older ones forbid nothing more. */
class Draft {
  readonly #from: bigint
  readonly #terms: BatchTerms
  readonly #events = new Map<string, Folded>()
  readonly #commits: Commit[] = []
  readonly #floors = new Map<string, Position>()
  #next: bigint
  #epochStart: Position | null = null
  #watermark: { readonly position: Position; readonly beatMs: number } | null = null

  constructor(from: bigint, terms: BatchTerms) {
    this.#from = from
    this.#next = from
    this.#terms = terms
  }

  /** The offset of the record that may be added next. */
  get next(): bigint {
    return this.#next
  }

  get isEmpty(): boolean {
    return this.#next === this.#from
  }

  get isFull(): boolean {
    return this.#commits.length + this.#floors.size >= this.#terms.maxEvents
  }

  add(record: TidemarkRecord): void {
    this.#next += 1n
    if (record.kind === 'event') this.#addEvent(record)
    else if (record.kind === 'floor') this.#addFloor(record.keyspace, record.position)
    else if (record.kind === 'watermark') this.#addWatermark(record.position, millis(record.timeUs))
    else if (record.kind === 'epoch') this.#epochStart = record.position
    // A claim is for publishers: only its offset counts.
  }

  finish(): PlannedBatch {
    const events = [...this.#events.values()]
    return {
      kind: 'batch',
      batch: {
        from: this.#from,
        next: this.#next,
        epochStart: this.#epochStart,
        floors: Array.from(this.#floors, ([keyspace, position]) => ({ keyspace, position })),
        events: events.map((e) => e.invalidation),
        watermark: this.#watermark,
      },
      keyspaces: events.map((e) => e.keyspace),
      commits: this.#commits,
    }
  }

  #addEvent({ key, keyspace, version, timeUs }: TidemarkRecord & { kind: 'event' }): void {
    this.#commits.push({ keyspace, atMs: millis(timeUs) })
    const known = this.#events.get(key)
    if (known && known.invalidation.version >= version) return
    const retainStaleMs = this.#terms.retainStaleMs(keyspace)
    this.#events.set(key, { invalidation: { key, version, retainStaleMs }, keyspace })
  }

  #addFloor(keyspace: string, position: Position): void {
    const known = this.#floors.get(keyspace)
    if (known === undefined || known < position) this.#floors.set(keyspace, position)
  }

  // A beat says that every commit visible before it is covered by its own position, hence by a higher one too; but
  // the clock of an abandoned history says nothing about the epoch that follows it.
  #addWatermark(position: Position, beatMs: number): void {
    const known = this.#watermark
    if (known === null || epochOf(known.position) < epochOf(position)) this.#watermark = { position, beatMs }
    else if (epochOf(known.position) === epochOf(position)) {
      this.#watermark = {
        position: known.position > position ? known.position : position,
        beatMs: Math.max(known.beatMs, beatMs),
      }
    }
  }
}

function millis(timeUs: bigint): number {
  return Number(timeUs / 1000n)
}
