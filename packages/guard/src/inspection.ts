import { after, isEncoded, isTidemarkError, maxPosition, type Position, type Version } from '@tidemark/protocol'
import { type Cell, decodeCell, decodeLease, type Lease } from './cell.ts'
import type { Payload } from './payload.ts'
import { decodeView, floorOf, type View } from './view.ts'

/** What a cell says of its value beside it (payload.ts). */
export interface ValueFacts extends Pick<Payload, 'codec' | 'storedAt' | 'costMs'> {
  readonly dependencies: number
  /** As it is stored, compressed or not, and without all this. */
  readonly bytes: number
}

/** All that one Redis knows of one key, at one instant, for an operator. The value itself stays where it is. */
export interface Inspection {
  readonly view: View | null | Malformed
  readonly cell: (Omit<Cell, 'payload'> & { readonly value: ValueFacts | Malformed }) | null | Malformed
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
  const [view, head, value, remaining, now, generations] = answer
  const raw = head === null ? null : Buffer.from(String(head), 'latin1')
  return {
    view: unlessMalformed(() => decodeView(view === null ? null : String(view))),
    cell: unlessMalformed(() => cellIn(raw, value as readonly number[] | null)),
    lease: leaseIn(raw),
    remainingMs: Number(remaining) < 0 ? null : Number(remaining),
    serverTimeMs: Number(now),
    generations: (generations as [string | null, number][]).map(([tombstone, keys]) => ({
      tombstone: tombstone === null || isEncoded(tombstone) ? (tombstone as Version | null) : 'malformed',
      keys,
    })),
  }
}

function cellIn(raw: Buffer | null, value: readonly number[] | null): Inspection['cell'] {
  const cell = decodeCell(raw)
  if (cell === null) return null
  const { payload: _, ...rest } = cell
  return { ...rest, value: value === null ? 'malformed' : valueFactsIn(value) }
}

function valueFactsIn(value: readonly number[]): ValueFacts {
  const [codec, storedAt, costMs, dependencies, bytes] = value as [number, number, number, number, number]
  return { codec, storedAt, costMs, dependencies, bytes }
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
