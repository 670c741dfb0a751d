import { type Position, parsePosition, TidemarkError } from '@tidemark/protocol'

/** `[low, high]`: the value includes every commit to its key that `low` covers, and none that `high` does not. */
export interface Label {
  readonly low: Position
  readonly high: Position
}

/** A value in Redis. `live` may be fresh; `stale` was invalidated and is retained to be served as such. */
export interface Cell {
  readonly state: 'live' | 'stale'
  readonly label: Label
  /** When it was loaded, ms since 1970 by the loader's clock; null for a load from a replica, which says nothing of age. */
  readonly loadedAt: number | null
  readonly payload: Buffer
}

/** The right to load a key, which one holder has until the end, ms since 1970 by this Redis' clock. */
export interface Lease {
  readonly id: string
  readonly endsAtMs: number
}

const HEAD_BYTES = 64
const LEASE_BYTES = 29
const TIME_DIGITS = 13
/** A cell without its value is no longer than this. */
export const MAX_HEAD_BYTES = HEAD_BYTES + LEASE_BYTES
const HEAD = /^1[LS-][0-9a-f]{48}\d{13}(?:-|\+.{16}\d{13})/s

/**
 * Decodes a cell: null when there is no value (absent, or only a lease). Throws CELL_MALFORMED on anything else.
 * The layout, in bytes: 1 format; 1 state (`L`, `S`, `-`); 24 low; 24 high; 13 load time in ms, zeros when from a
 * replica; 1 `+` when a lease is out; then 16 of its id and 13 of its end in ms; then the value (payload.ts).
 */
export function decodeCell(raw: Buffer | null): Cell | null {
  if (raw === null) return null
  const head = headOf(raw)
  const state = head[1]
  if (state === '-') return null
  const loadedAt = Number(head.slice(50, 63))
  return {
    state: state === 'L' ? 'live' : 'stale',
    label: { low: parsePosition(head.slice(2, 26)), high: parsePosition(head.slice(26, 50)) },
    loadedAt: loadedAt === 0 ? null : loadedAt,
    payload: raw.subarray(head.length),
  }
}

/** The lease that is out, be there a value or not; null when there is none. Throws CELL_MALFORMED. */
export function decodeLease(raw: Buffer | null): Lease | null {
  if (raw === null) return null
  const head = headOf(raw)
  if (head.length === HEAD_BYTES) return null
  return { id: head.slice(HEAD_BYTES, -TIME_DIGITS), endsAtMs: Number(head.slice(-TIME_DIGITS)) }
}

/** All that comes before the value. */
function headOf(raw: Buffer): string {
  const head = HEAD.exec(raw.toString('latin1', 0, MAX_HEAD_BYTES))?.[0]
  if (head === undefined) throw malformed()
  return head
}

/** A time in the 13 digits that a cell holds. */
export function encodeTime(ms: number | null): string {
  return String(Math.floor(ms ?? 0)).padStart(TIME_DIGITS, '0')
}

function malformed(): TidemarkError {
  return new TidemarkError('CELL_MALFORMED', 'a cell in Redis is not of format 1', {
    mend: 'Find what else writes under the key prefix',
  })
}
