import { type Logger, outageLevel } from '@tidemark/service'
import { type Alarm, type Delay, sentenceOf } from './cut-off.ts'

const LEVELS = ['info', 'warn', 'error'] as const
type Level = (typeof LEVELS)[number]

/**
 * How loud a delay is told: by its length, but it is no error before a keyspace is in alarm, and is one at once when
 * that keyspace is of high criticality.
 */
export function levelOf({ forMs }: Delay, alarms: readonly Alarm[]): Level {
  if (alarms.some(({ criticality }) => criticality === 'high')) return 'error'
  const byLength = outageLevel(forMs)
  return byLength === 'error' && alarms.length === 0 ? 'warn' : byLength
}

/**
 * Says that a region is cut off, or behind: when it begins, and again each time it has become louder, but not at every
 * look; and once when the region is current again.
 */
export class DelayLog {
  readonly #log: Logger
  readonly #nowMs: () => number
  #told: { readonly kind: Delay['kind']; readonly level: Level } | null = null
  #sinceMs = 0

  constructor(log: Logger, nowMs: () => number = Date.now) {
    this.#log = log
    this.#nowMs = nowMs
  }

  noticed(delay: Delay | null, alarms: readonly Alarm[]): void {
    if (delay === null) {
      this.#over()
      return
    }
    const level = levelOf(delay, alarms)
    if (this.#told === null) this.#sinceMs = this.#nowMs() - delay.forMs
    const isLouder = this.#told === null || LEVELS.indexOf(level) > LEVELS.indexOf(this.#told.level)
    if (this.#told?.kind === delay.kind && !isLouder) return
    this.#told = { kind: delay.kind, level }
    const { kind, partitions, forMs } = delay
    const facts = { kind, partitions, forMs: Math.round(forMs), alarms: alarms.map(({ keyspace }) => keyspace) }
    this.#log[level](facts, sentenceOf(delay, alarms, this.#nowMs()))
  }

  #over(): void {
    if (this.#told === null) return
    this.#told = null
    const forMs = Math.round(this.#nowMs() - this.#sinceMs)
    this.#log.info({ forMs }, `current again, after ${forMs} ms`)
  }
}
