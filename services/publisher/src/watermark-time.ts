import type { Lsn } from '@tidemark/protocol'

interface Reading {
  readonly lsn: Lsn
  readonly timeUs: bigint
}

/**
 * Which time a watermark may carry: the newest at which every visible commit was covered by its position. It is the
 * primary's clock, never ours, and comes from readings "what was visible at this time lies before this LSN".
 */
export class WatermarkTime {
  readonly #capacity: number
  #waiting: Reading[] = []
  #timeUs = 0n

  /** @param capacity how many readings may wait for the position to reach them */
  constructor(capacity = 1024) {
    this.#capacity = capacity
  }

  /** Readings come in the order of their LSNs. */
  observe(lsn: Lsn, timeUs: bigint): void {
    const last = this.#waiting.at(-1)
    // At one LSN the later time says more.
    if (last?.lsn === lsn) this.#waiting.pop()
    this.#waiting.push({ lsn, timeUs })
    // Every other one is as good for a position that is far behind; the oldest and the newest stay roughly there.
    if (this.#waiting.length > this.#capacity) this.#waiting = this.#waiting.filter((_, i) => i % 2 === 0)
  }

  /** The time for a watermark at `position`, 0 while none is known. Positions do not go back. */
  at(position: Lsn): bigint {
    let passed = 0
    for (const reading of this.#waiting) {
      if (reading.lsn > position) break
      if (reading.timeUs > this.#timeUs) this.#timeUs = reading.timeUs
      passed++
    }
    if (passed > 0) this.#waiting.splice(0, passed)
    return this.#timeUs
  }

  /** A transaction's own commit time holds for its end: whatever was visible before it committed lies before it. */
  committed(timeUs: bigint): void {
    if (timeUs > this.#timeUs) this.#timeUs = timeUs
  }
}
