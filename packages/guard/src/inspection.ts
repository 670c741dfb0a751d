import { after, isEncoded, isTidemarkError, maxPosition, type Position, type Version } from '@tidemark/protocol'
import { type Cell, decodeCell, decodeLease, type Lease } from './cell.ts'
import { decodeView, floorOf, type View } from './view.ts'

/** All that one Redis knows of one key, at one instant, for an operator. The value itself stays where it is. */
export interface Inspection {
  readonly view: View | null | Malformed
  readonly cell: (Omit<Cell, 'payload'> & { readonly valueBytes: number }) | null | Malformed
  readonly lease: Lease | null
  /** Until the cell goes, in ms; null when it is not there, or would stay for ever. */
  readonly remainingMs: number | null
  /** ms since 1970 by this Redis' clock, which leases end by. */
  readonly serverTimeMs: number
  /** By slot: the tombstone of the key, and how many keys the generation remembers. */
  readonly generations: readonly { readonly tombstone: Version | null | Malformed; readonly keys: number }[]
}

/** Something else writes under the key prefix: nobody serves it, and a command writes over it. */
export type Malformed = 'malformed'

/**
 * What a label must start at, or above, to be stored under the key now; null without a view. As `required` in
 * partition.lua, and like it with the tombstones of a generation counted as lost that the view names and that is gone.
 */
export function requiredOf({ view, generations }: Inspection, keyspace: string): Position | null {
  if (view === null || view === 'malformed') return null
  const tombstones = generations.flatMap(({ tombstone }, slot) =>
    Object.hasOwn(view.generations, slot) && tombstone !== null && tombstone !== 'malformed' ? [after(tombstone)] : [],
  )
  const isEvicted = Object.keys(view.generations).some((slot) => generations[Number(slot)]?.keys === 0)
  if (isEvicted) tombstones.push(after(view.newest))
  return maxPosition(view.horizon, floorOf(view, keyspace), ...tombstones)
}

/** Turns inspect's answer into facts. */
export function inspectionIn(answer: readonly unknown[]): Inspection {
  const [view, head, bytes, remaining, now, generations] = answer
  const raw = head === null ? null : Buffer.from(String(head), 'latin1')
  return {
    view: unlessMalformed(() => decodeView(view === null ? null : String(view))),
    cell: unlessMalformed(() => cellIn(raw, Number(bytes))),
    lease: leaseIn(raw),
    remainingMs: Number(remaining) < 0 ? null : Number(remaining),
    serverTimeMs: Number(now),
    generations: (generations as [string | null, number][]).map(([tombstone, keys]) => ({
      tombstone: tombstone === null || isEncoded(tombstone) ? (tombstone as Version | null) : 'malformed',
      keys,
    })),
  }
}

function cellIn(raw: Buffer | null, bytes: number): Inspection['cell'] {
  const cell = decodeCell(raw)
  if (raw === null || cell === null) return null
  const { payload, ...rest } = cell
  return { ...rest, valueBytes: bytes - (raw.length - payload.length) }
}

function leaseIn(raw: Buffer | null): Lease | null {
  const lease = unlessMalformed(() => decodeLease(raw))
  return lease === 'malformed' ? null : lease
}

function unlessMalformed<T>(decode: () => T): T | Malformed {
  try {
    return decode()
  } catch (error) {
    if (isTidemarkError(error, 'CELL_MALFORMED')) return 'malformed'
    throw error
  }
}
