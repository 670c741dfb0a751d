import { isEncoded, maxPosition, ORIGIN, type Position, TidemarkError, type Version } from '@tidemark/protocol'

/** What a region's Redis knows of a partition: one JSON string under one key, written only by the Lua commands. */
export interface View {
  /** The epoch adopted, 8 hexadecimal digits. */
  readonly epoch: string
  /** W: every invalidation that it covers has been applied in this Redis. */
  readonly watermark: Position
  /** N: the version of the newest event applied. */
  readonly newest: Version
  /** Covers every version whose tombstone was dropped. */
  readonly horizon: Position
  /**
   * Keyspace, or `*` for all → floor. A floor is kept as a position: no value whose label begins below it may be
   * served as fresh. As a version it would have to be stepped over (`floor + 1`), and where it comes from a
   * watermark, that claims a commit which may only be about to happen: adjacent commits touch.
   */
  readonly floors: Readonly<Record<string, Position>>
  /** The next Kafka offset to apply, 16 hexadecimal digits. */
  readonly offset: string
  /** Every commit visible before this time, ms since 1970 by the primary's clock, is covered by the watermark. */
  readonly beat: number
  /** The tombstone generation being written to. */
  readonly current: number
  /** Slot → since when it is written to (ms, this Redis' clock) and its newest version. */
  readonly generations: Readonly<Record<string, { readonly since: number; readonly newest: Version }>>
  /** Set while a gap is open: its cause. Nothing is fresh and no lease is granted. */
  readonly gap?: string
}

/** Decodes a view; null when there is none. Throws CELL_MALFORMED on anything else. */
export function decodeView(raw: Buffer | string | null): View | null {
  if (raw === null) return null
  let view: unknown
  try {
    view = JSON.parse(raw.toString())
  } catch (cause) {
    throw new TidemarkError('CELL_MALFORMED', 'a view in Redis is not JSON', { cause })
  }
  if (isView(view)) return view
  throw new TidemarkError('CELL_MALFORMED', 'a view in Redis is not of format 1')
}

/** Every field counts: a beat that is missing would make an age that is not a number, and no limit exceeds that. */
function isView(value: unknown): value is View {
  if (!isRecord(value) || value.format !== 1) return false
  return (
    isHex(value.epoch, 8) &&
    isPosition(value.watermark) &&
    isPosition(value.newest) &&
    isPosition(value.horizon) &&
    isHex(value.offset, 16) &&
    Number.isFinite(value.beat) &&
    Number.isInteger(value.current) &&
    isRecord(value.floors) &&
    Object.values(value.floors).every(isPosition) &&
    isRecord(value.generations) &&
    (value.gap === undefined || typeof value.gap === 'string')
  )
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

export function isPosition(value: unknown): value is Position {
  return typeof value === 'string' && isEncoded(value)
}

export function isHex(value: unknown, digits: number): value is string {
  return typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value)
}

/** The floor of a keyspace: its own or that of all, whichever is higher. */
export function floorOf(view: Pick<View, 'floors'>, keyspace: string): Position {
  return maxPosition(ownFloor(view, '*'), ownFloor(view, keyspace))
}

/** A keyspace may be called `constructor`, which every object has. */
function ownFloor(view: Pick<View, 'floors'>, keyspace: string): Position {
  return Object.hasOwn(view.floors, keyspace) ? view.floors[keyspace]! : ORIGIN
}

export function encodeOffset(offset: bigint): string {
  return offset.toString(16).padStart(16, '0')
}

export function encodeEpoch(epoch: number): string {
  return epoch.toString(16).padStart(8, '0')
}

export function decodeOffset(text: string): bigint {
  return BigInt(`0x${text}`)
}

/** The next Kafka offset that the view expects. */
export function offsetOf(view: View): bigint {
  return decodeOffset(view.offset)
}
