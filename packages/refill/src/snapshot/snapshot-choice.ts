import type { Label, View } from '@tidemark/guard'
import { maxPosition, type Position } from '@tidemark/protocol'
import type { ReadDoubt } from '../read/judge-loaded.ts'

/** Positions at every one of which a value is exactly what the database held, both ends included. */
export interface Interval {
  readonly low: Position
  readonly high: Position
}

/**
 * Where a live cell is exact (protocol 2): `[U, max(L, W)]`. Not from L on: below U it may already hold a commit that lies
 * ahead. Null when there is no such position, or none yet.
 *
 * @param view the effective one, under which the cell's floor was found to be covered
 */
export function exactInterval({ low, high }: Label, view: Pick<View, 'watermark'>): Interval | null {
  const end = maxPosition(low, view.watermark)
  return high <= end ? { low: high, high: end } : null
}

/**
 * Whether a value that cannot be used as fresh is what the database held at an instant all the same: it is live, lacks no
 * floor, and is behind no session, only not known to be recent, or past its time. What was invalidated is of no instant
 * that anyone can name.
 */
export function isOfAnInstant(doubt: ReadDoubt | null): boolean {
  return doubt === null || doubt === 'too-old' || doubt === 'expired'
}

export interface Choice {
  /** All that the chosen values share. */
  readonly shared: Interval
  /** Which of the given ones are chosen. */
  readonly kept: readonly number[]
}

/**
 * The point that most of the intervals contain, the latest of those that are as good; null when there is no interval.
 * Where most of them meet, one of them begins: only beginnings are looked at.
 */
export function choosePoint(intervals: readonly (Interval | null)[]): Choice | null {
  const given = intervals.flatMap((interval, i) => (interval ? [{ interval, i }] : []))
  const begins = given.map(({ interval }) => interval.low).sort()
  const ends = given.map(({ interval }) => interval.high).sort()
  let best = { point: null as Position | null, count: 0 }
  let ended = 0
  for (const [begun, point] of begins.entries()) {
    while (ends[ended]! < point) ended++
    if (begun + 1 - ended >= best.count) best = { point, count: begun + 1 - ended }
  }
  const { point } = best
  if (point === null) return null
  const kept = given.filter(({ interval }) => interval.low <= point && point <= interval.high)
  return { shared: sharedBy(kept.map(({ interval }) => interval)), kept: kept.map(({ i }) => i) }
}

/** What all of them share; null when that is nothing, or one is exact nowhere. */
export function sharedByAll(intervals: readonly (Interval | null)[]): Interval | null {
  const given = intervals.filter((interval) => interval !== null)
  if (given.length === 0 || given.length < intervals.length) return null
  const shared = sharedBy(given)
  return shared.low <= shared.high ? shared : null
}

function sharedBy(intervals: readonly Interval[]): Interval {
  const highs = intervals.map(({ high }) => high).sort()
  return { low: maxPosition(intervals[0]!.low, ...intervals.map(({ low }) => low)), high: highs[0]! }
}

/**
 * How a value that is kept stands to values that were loaded in one snapshot, labelled `[L, U]`. Nobody knows where between
 * L and U the snapshot lies, nor that commits were visible in order: so the value must be exact at all of it.
 *
 * `later`: not yet, but when the watermark has come. `never`: it holds a commit that the snapshot may lack.
 */
export function holdsOver(kept: Label, view: Pick<View, 'watermark'>, loaded: Label): 'now' | 'later' | 'never' {
  if (kept.high > loaded.low) return 'never'
  return maxPosition(kept.low, view.watermark) >= loaded.high ? 'now' : 'later'
}
