import { type Logger, outageLevel } from '@tidemark/service'
import type { Stall } from './beat.ts'

/**
 * Says that no beat comes: once when it is noticed, and again each time the outage has become long enough for the
 * next level, but not at every look.
 */
export class StallLog {
  readonly #log: Logger
  #level: 'info' | 'warn' | 'error' | null = null

  constructor(log: Logger) {
    this.#log = log
  }

  noticed(stall: Stall | null): void {
    if (stall === null) {
      if (this.#level !== null) this.#log.info({}, 'beats have come again')
      this.#level = null
      return
    }
    const level = outageLevel(stall.ageMs)
    if (level === this.#level) return
    this.#level = level
    this.#log[level]({ partitions: stall.partitions, ageMs: Math.round(stall.ageMs) }, 'no beat; values age unproven')
  }
}
