import { type Lsn, MAX_LSN } from './lsn.ts'

declare const kind: unique symbol

/**
 * The point at which a transaction committed: epoch and commit LSN. Fixed-width hexadecimal of lower case, epoch
 * (8 digits) before LSN (16), so that versions compare as strings, in Lua too, whose numbers are doubles.
 */
export type Version = string & { readonly [kind]: 'version' }

/** A cut of the log: everything before it. Encoded like a version; the brand keeps one from passing for the other. */
export type Position = string & { readonly [kind]: 'position' }

export const MAX_EPOCH = 0xffff_ffff
const EPOCH_DIGITS = 8
const LSN_DIGITS = 16
export const ENCODED_LENGTH = EPOCH_DIGITS + LSN_DIGITS
const ENCODED = /^[0-9a-f]{24}$/

/** The cut before everything: it covers no version. */
export const ORIGIN = '0'.repeat(ENCODED_LENGTH) as Position

function encode(epoch: number, lsn: Lsn): string {
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > MAX_EPOCH) throw new RangeError(`epoch out of range: ${epoch}`)
  if (lsn < 0n || lsn > MAX_LSN) throw new RangeError(`LSN out of range: ${lsn}`)
  return epoch.toString(16).padStart(EPOCH_DIGITS, '0') + lsn.toString(16).padStart(LSN_DIGITS, '0')
}

/** The version of a transaction: its epoch and the `commit_lsn` of its Begin message. */
export function version(epoch: number, commitLsn: Lsn): Version {
  return encode(epoch, commitLsn) as Version
}

/** The cut of an epoch's log just before `lsn`. */
export function position(epoch: number, lsn: Lsn): Position {
  return encode(epoch, lsn) as Position
}

/** Whether `text` is an encoded version or position. */
export function isEncoded(text: string): boolean {
  return ENCODED.test(text)
}

/** Reads an encoded position; throws a RangeError on anything else. */
export function parsePosition(text: string): Position {
  if (!isEncoded(text)) throw new RangeError(`not a position: ${JSON.stringify(text)}`)
  return text as Position
}

export function epochOf(x: Version | Position): number {
  return Number.parseInt(x.slice(0, EPOCH_DIGITS), 16)
}

export function lsnOf(x: Version | Position): Lsn {
  return BigInt(`0x${x.slice(EPOCH_DIGITS)}`)
}

/** `p` covers `v` iff `v < p`, always strict: adjacent commits touch, one's end is the next one's commit LSN. */
export function covers(p: Position, v: Version): boolean {
  return v < (p as string)
}

/** The smallest position that covers `v`. */
export function after(v: Version): Position {
  return position(epochOf(v), lsnOf(v) + 1n)
}

export function maxPosition(a: Position, ...rest: readonly Position[]): Position {
  let max = a
  for (const p of rest) if (p > max) max = p
  return max
}

/**
 * Whether having reached `reached` satisfies `wanted`: neither an older epoch nor a smaller LSN. On one system the
 * numbering goes on across epochs, so a new epoch that starts below `wanted` does not take a write for granted.
 */
export function satisfies(reached: Position, wanted: Position): boolean {
  return epochOf(reached) >= epochOf(wanted) && reached.slice(EPOCH_DIGITS) >= wanted.slice(EPOCH_DIGITS)
}

/** The smallest position that satisfies whatever either satisfies: epoch and LSN are each the larger one. */
export function join(a: Position, b: Position): Position {
  const [lsnA, lsnB] = [lsnOf(a), lsnOf(b)]
  return position(Math.max(epochOf(a), epochOf(b)), lsnA > lsnB ? lsnA : lsnB)
}
