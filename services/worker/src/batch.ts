import { type Batch, encodePayload, type Invalidation, type Update } from '@tidemark/guard'
import {
  type Contract,
  decodeRecord,
  epochOf,
  isTidemarkError,
  type Position,
  retentionMs,
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
  /** Epoch → how many of its records are of it. A claim is of none: its epoch may never come. */
  readonly epochs: ReadonlyMap<number, number>
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
  /** Most bytes of keys and projections in one batch, for the same reason. A record that is larger goes alone. */
  readonly maxBytes: number
  /** Of a keyspace; undefined for one that the configuration does not name. */
  readonly contractOf: (keyspace: string) => Contract | undefined
}

/**
 * Turns consecutive records of one partition into batches for the guard, in order. A batch ends before the start of
 * an epoch, where it would exceed its bounds, and at a break: what came before a break is applied before the gap is
 * declared.
 */
export function* planBatches(records: readonly FetchedRecord[], terms: BatchTerms): Generator<PlannedBatch | Break> {
  const [first] = records
  if (first === undefined) return
  let draft = new Draft(first.offset, terms)
  for (const fetched of records) {
    const broken = fetched.offset === draft.next ? undefined : hole(draft.next, fetched.offset)
    const record = decode(fetched)
    const announcesEpoch = record.kind === 'epoch'
    if (broken || record.kind === 'break' || announcesEpoch || !draft.hasRoomFor(record)) {
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

/** What goes to Redis with an event or a floor beside its key, its name and its projection. */
const ENVELOPE_BYTES = 64

function bytesOf(record: TidemarkRecord): number {
  if (record.kind === 'event') return Buffer.byteLength(record.key) + (record.projection?.length ?? 0) + ENVELOPE_BYTES
  return record.kind === 'floor' ? ENVELOPE_BYTES : 0
}

/** A batch in the making. One key's events are folded to the newest: the older ones forbid nothing more. */
class Draft {
  readonly #from: bigint
  readonly #terms: BatchTerms
  readonly #events = new Map<string, Folded>()
  readonly #commits: Commit[] = []
  readonly #floors = new Map<string, Position>()
  readonly #epochs = new Map<number, number>()
  #next: bigint
  #bytes = 0
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

  hasRoomFor(record: TidemarkRecord): boolean {
    const { maxEvents, maxBytes } = this.#terms
    if (this.isEmpty) return true
    return this.#commits.length + this.#floors.size < maxEvents && this.#bytes + bytesOf(record) <= maxBytes
  }

  add(record: TidemarkRecord): void {
    this.#next += 1n
    this.#bytes += bytesOf(record)
    this.#countEpoch(record)
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
      epochs: this.#epochs,
    }
  }

  #countEpoch(record: TidemarkRecord): void {
    if (record.kind === 'claim') return
    const epoch = epochOf(record.kind === 'event' ? record.version : record.position)
    this.#epochs.set(epoch, (this.#epochs.get(epoch) ?? 0) + 1)
  }

  #addEvent(event: TidemarkRecord & { kind: 'event' }): void {
    const { key, keyspace, version, timeUs } = event
    this.#commits.push({ keyspace, atMs: millis(timeUs) })
    const known = this.#events.get(key)?.invalidation
    if (known && known.version > version) return
    const contract = this.#terms.contractOf(keyspace)
    const update = known?.version === version ? agreed(known.update, event) : updateOf(event, contract)
    const invalidation = {
      key,
      version,
      retainStaleMs: contract ? retentionMs(contract) : 0,
      ...(update && { update }),
    }
    this.#events.set(key, { invalidation, keyspace })
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

/** What a projection is worth depends on the contract of today: the publisher may have read yesterday's. */
function updateOf(
  { keyspace, projection, timeUs }: TidemarkRecord & { kind: 'event' },
  contract: Contract | undefined,
): Update | undefined {
  if (projection === undefined || contract?.reaction !== 'update') return undefined
  return { keyspace, payload: payloadOf(projection, timeUs), ttlMs: contract.ttlMs }
}

/** Two of one commit that do not say the same: nobody knows which of them is the row's last word. */
function agreed(
  known: Update | undefined,
  { projection, timeUs }: TidemarkRecord & { kind: 'event' },
): Update | undefined {
  return projection !== undefined && known?.payload.equals(payloadOf(projection, timeUs)) ? known : undefined
}

/** As the refill package stores what it loads, from the time of the commit on. */
function payloadOf(projection: Buffer, timeUs: bigint): Buffer {
  return encodePayload({ body: projection, storedAt: millis(timeUs) })
}

function millis(timeUs: bigint): number {
  return Number(timeUs / 1000n)
}
