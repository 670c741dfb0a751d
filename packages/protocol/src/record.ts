import { TidemarkError } from './errors.ts'
import { MAX_LSN } from './lsn.ts'
import { epochOf, lsnOf, type Position, position, type Version, version } from './position.ts'

/**
 * What is in the value of a Kafka record. All integers are big-endian.
 *
 * | offset | bytes | field |
 * | --- | --- | --- |
 * | 0 | 1 | format, 1 |
 * | 1 | 1 | kind: 1 event, 2 watermark, 3 floor, 4 epoch, 5 claim, 6 event with a projection |
 * | 2 | 4 | epoch |
 * | 6 | 8 | LSN |
 * | 14 | 8 | time, microseconds since 1970-01-01 UTC |
 * | 22 | 1 + n | event, floor: length and UTF-8 bytes of the keyspace's name |
 * | 23 + n | rest | event with a projection: the row's value, not empty |
 * | 22 | 8 + 4 | epoch: system identifier, timeline |
 *
 * - **event**: the record's key is the cache key; epoch and LSN are the version; time is the commit's. With a
 *   projection it says too what the value is from that version on.
 * - **watermark**: every event of this partition that the position covers comes before; every commit that was
 *   visible before the time (the primary's clock) is covered by the position.
 * - **floor**: no value of the keyspace whose label starts below the position may be served as fresh.
 * - **epoch**: a new history starts at the position; it is the floor of every keyspace.
 * - **claim**: a publisher has taken the partition, to write in this epoch; Kafka refuses whatever an earlier one sends
 *   after it. It says nothing of any key. LSN and time are 0.
 *
 * Only events have a Kafka key. Anything else, trailing bytes included, is malformed.
 */
export type TidemarkRecord =
  | {
      readonly kind: 'event'
      readonly key: string
      readonly keyspace: string
      readonly version: Version
      readonly timeUs: bigint
      readonly projection?: Buffer
    }
  | { readonly kind: 'watermark'; readonly position: Position; readonly timeUs: bigint }
  | { readonly kind: 'floor'; readonly keyspace: string; readonly position: Position; readonly timeUs: bigint }
  | {
      readonly kind: 'epoch'
      readonly position: Position
      readonly systemIdentifier: bigint
      readonly timeline: number
      readonly timeUs: bigint
    }
  | { readonly kind: 'claim'; readonly position: Position; readonly timeUs: bigint }

export const RECORD_FORMAT = 1
const KIND = { event: 1, watermark: 2, floor: 3, epoch: 4, claim: 5, projected: 6 } as const
const HEAD_BYTES = 22
const EPOCH_TAIL_BYTES = 12
export const MAX_KEYSPACE_BYTES = 64

export interface EncodedRecord {
  readonly key: Buffer | null
  readonly value: Buffer
}

/** Encodes a record as Kafka key and value. Throws a RangeError on a keyspace name that does not fit. */
export function encodeRecord(record: TidemarkRecord): EncodedRecord {
  const at = record.kind === 'event' ? record.version : record.position
  const value = Buffer.allocUnsafe(HEAD_BYTES + tailBytes(record))
  value.writeUInt8(RECORD_FORMAT, 0)
  value.writeUInt8(projectionOf(record) ? KIND.projected : KIND[record.kind], 1)
  value.writeUInt32BE(epochOf(at), 2)
  value.writeBigUInt64BE(lsnOf(at), 6)
  value.writeBigInt64BE(record.timeUs, 14)
  if (record.kind === 'epoch') {
    value.writeBigUInt64BE(record.systemIdentifier, HEAD_BYTES)
    value.writeUInt32BE(record.timeline, HEAD_BYTES + 8)
  } else if (record.kind === 'event' || record.kind === 'floor') {
    const bytes = value.write(record.keyspace, HEAD_BYTES + 1, 'utf8')
    value.writeUInt8(bytes, HEAD_BYTES)
    projectionOf(record)?.copy(value, HEAD_BYTES + 1 + bytes)
  }
  return { key: record.kind === 'event' ? Buffer.from(record.key, 'utf8') : null, value }
}

function projectionOf(record: TidemarkRecord): Buffer | undefined {
  return record.kind === 'event' ? record.projection : undefined
}

function tailBytes(record: TidemarkRecord): number {
  if (record.kind === 'watermark' || record.kind === 'claim') return 0
  if (record.kind === 'epoch') return EPOCH_TAIL_BYTES
  const bytes = Buffer.byteLength(record.keyspace)
  if (bytes === 0 || bytes > MAX_KEYSPACE_BYTES) throw new RangeError(`keyspace name of ${bytes} bytes`)
  return 1 + bytes + (projectionOf(record)?.length ?? 0)
}

// `ignoreBOM` keeps a byte order mark: without it, a key that begins with one would come back as another key.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Decodes a Kafka record. Throws RECORD_MALFORMED or RECORD_FORMAT_UNKNOWN; the message never holds the bytes. */
export function decodeRecord(key: Buffer | null, value: Buffer | null): TidemarkRecord {
  if (value === null || value.length < HEAD_BYTES) throw malformed(`the value has ${value?.length ?? 0} bytes`)
  const format = value[0]!
  if (format !== RECORD_FORMAT) {
    throw new TidemarkError('RECORD_FORMAT_UNKNOWN', `format ${format}, this build reads ${RECORD_FORMAT}`, {
      mend: 'Upgrade the workers before the publisher, or find what else writes to the topic',
    })
  }
  const kind = value[1]!
  if ((kind === KIND.event || kind === KIND.projected) !== (key !== null))
    throw malformed('only events, and all events, have a Kafka key')
  const epoch = value.readUInt32BE(2)
  const lsn = value.readBigUInt64BE(6)
  const timeUs = value.readBigInt64BE(14)
  switch (kind) {
    case KIND.event:
    case KIND.projected: {
      if (lsn === MAX_LSN) throw malformed('no position covers a commit at the last LSN')
      const event = { kind: 'event', key: text(key!, 'key'), version: version(epoch, lsn), timeUs } as const
      if (kind === KIND.event) return { ...event, keyspace: keyspaceIn(value) }
      const end = HEAD_BYTES + 1 + (value[HEAD_BYTES] ?? 0)
      if (value.length <= end) throw malformed('the projection is missing')
      return { ...event, keyspace: keyspaceIn(value.subarray(0, end)), projection: value.subarray(end) }
    }
    case KIND.watermark:
      expectLength(value, HEAD_BYTES)
      return { kind: 'watermark', position: position(epoch, lsn), timeUs }
    case KIND.floor:
      return { kind: 'floor', keyspace: keyspaceIn(value), position: position(epoch, lsn), timeUs }
    case KIND.epoch:
      expectLength(value, HEAD_BYTES + EPOCH_TAIL_BYTES)
      return {
        kind: 'epoch',
        position: position(epoch, lsn),
        systemIdentifier: value.readBigUInt64BE(HEAD_BYTES),
        timeline: value.readUInt32BE(HEAD_BYTES + 8),
        timeUs,
      }
    case KIND.claim:
      expectLength(value, HEAD_BYTES)
      return { kind: 'claim', position: position(epoch, lsn), timeUs }
    default:
      throw malformed(`kind ${kind}`)
  }
}

function keyspaceIn(value: Buffer): string {
  const bytes = value[HEAD_BYTES] ?? 0
  if (bytes === 0 || bytes > MAX_KEYSPACE_BYTES) throw malformed(`a keyspace name of ${bytes} bytes`)
  expectLength(value, HEAD_BYTES + 1 + bytes)
  return text(value.subarray(HEAD_BYTES + 1), 'keyspace')
}

function expectLength(value: Buffer, bytes: number): void {
  if (value.length !== bytes) throw malformed(`the value has ${value.length} bytes instead of ${bytes}`)
}

function text(bytes: Buffer, what: string): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw malformed(`the ${what} is not UTF-8`, cause)
  }
}

function malformed(what: string, cause?: unknown): TidemarkError {
  return new TidemarkError('RECORD_MALFORMED', what, { mend: 'Find what else writes to the topic', cause })
}
