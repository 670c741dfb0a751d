import { type Position, position, type Version } from '@tidemark/protocol'
import type { Step } from './operation.ts'
import { epochIn, type Point } from './reference-model.ts'

const FIRST_LSN = 1_000n
const LSN_BITS = (1n << 64n) - 1n

const point = (epoch: number, lsn: bigint): Point => (BigInt(epoch) << 64n) | lsn

export const positionOf = (at: Point): Position => position(epochIn(at), at & LSN_BITS)
export const versionOf = (at: Point): Version => positionOf(at) as string as Version

/** The publisher's side: the present epoch, and the end of its log. */
export class PublisherLog {
  #epoch = 1
  #lsn = FIRST_LSN

  get end(): Point {
    return point(this.#epoch, this.#lsn)
  }

  /** In place of a time. */
  get beat(): number {
    return Number(this.#lsn)
  }

  /** The number of an epoch before or after the present one. */
  epochBy(epochs: number): number {
    return Math.max(0, this.#epoch + epochs)
  }

  /** A point near the end, wherever that is. */
  near({ by, epochs }: Step): Point {
    return this.end + BigInt(by) + (BigInt(Math.max(epochs, -this.#epoch)) << 64n)
  }

  /** The same, and the log grows to it if it lies beyond in the present epoch. */
  reach({ by, epochs }: Step): Point {
    const lsn = this.#lsn + BigInt(by)
    if (epochs === 0 && lsn > this.#lsn) this.#lsn = lsn
    return point(this.epochBy(epochs), lsn)
  }

  epochStart(which: 'none' | 'new' | 'again' | 'old'): Position | null {
    if (which === 'none') return null
    if (which === 'again') return positionOf(this.end)
    if (which === 'old') return positionOf(point(this.epochBy(-1), this.#lsn + 1n))
    this.#epoch += 1
    // A new history may start below the end of the one that was abandoned.
    this.#lsn -= 2n
    return positionOf(this.end)
  }
}
