import { type Position, satisfies } from '@tidemark/protocol'

/** What is known of a replica from the last time it answered. It helps to choose and proves nothing. */
export interface Known {
  /** Where it stood; null when it has not answered yet. */
  readonly position: Position | null
  /** How long it takes to hand out a connection and say where it stands, in ms, of late. */
  readonly latencyMs: number
  /** When it was asked last, by the monotonic clock; null when it never was. */
  readonly askedAt: number | null
}

export const UNKNOWN: Known = { position: null, latencyMs: 0, askedAt: null }

/** A replica that nobody asked for so long is asked before better ones: it may have become the better one. */
export const LOOK_AGAIN_MS = 2_000

/** How much the newest answer counts in the estimate. */
const NEWEST_WEIGHT = 0.2

/**
 * The replicas in the order of asking, as indices: those that need to be looked at, one at a time; then those that stood
 * far enough, the fastest first; then the others, the furthest ahead first. Pure.
 *
 * One that is slow, or lagged, would never be seen to have recovered: so the one that was not asked for longest comes first
 * once LOOK_AGAIN_MS have passed. That costs one load in LOOK_AGAIN_MS per replica, whatever their number.
 *
 * @param isEnough whether a position suffices for the load
 * @param now ms of the monotonic clock
 */
export function inOrder(replicas: readonly Known[], isEnough: (at: Position) => boolean, now: number): number[] {
  const order = replicas.map((_, i) => i).sort((a, b) => compare(replicas[a]!, replicas[b]!, isEnough) || a - b)
  const forgotten = order
    .filter((i) => now - askedAt(replicas[i]!) >= LOOK_AGAIN_MS)
    .sort((a, b) => compareNumbers(askedAt(replicas[a]!), askedAt(replicas[b]!)))[0]
  return forgotten === undefined ? order : [forgotten, ...order.filter((i) => i !== forgotten)]
}

function compare(a: Known, b: Known, isEnough: (at: Position) => boolean): number {
  const [first, second] = [a, b].map(({ position }) => position !== null && isEnough(position))
  if (first !== second) return first ? -1 : 1
  if (first || a.position === b.position) return a.latencyMs - b.latencyMs
  return (a.position ?? '') > (b.position ?? '') ? -1 : 1
}

function askedAt(known: Known): number {
  return known.askedAt ?? Number.NEGATIVE_INFINITY
}

/** Of two that were never asked the difference would be no number. */
function compareNumbers(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1
}

/** What is known after an answer. A position only moves forward, except to another epoch's. */
export function learned(known: Known, position: Position, latencyMs: number): Known {
  const isFirst = known.position === null
  const estimate = isFirst ? latencyMs : known.latencyMs + NEWEST_WEIGHT * (latencyMs - known.latencyMs)
  return { ...known, position: newer(known.position, position), latencyMs: estimate }
}

/** Answers may come in another order than they were given in. */
function newer(known: Position | null, position: Position): Position {
  return known !== null && satisfies(known, position) ? known : position
}
