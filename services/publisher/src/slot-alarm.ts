import type { SlotHealth } from '@tidemark/postgres'
import type { Logger } from '@tidemark/service'

export interface Alarm {
  readonly level: 'warn' | 'error'
  /** The more, the nearer the slot's end. */
  readonly severity: number
  readonly what: string
}

/** Of what the server keeps for the slot, the share that is used before it is worth a warning, and an error. */
const WARN_SHARE = 0.5
const ERROR_SHARE = 0.8

/** What an operator must hear of the slot before the server gives it up. Pure. */
export function alarmOf(health: SlotHealth): Alarm | undefined {
  if (health.status === 'lost') return error(4, 'the server has given the slot up: changes may be missed')
  if (health.status === 'unreserved') return error(3, 'the server gives the slot up at its next checkpoint')
  if (health.status === 'being-created') return warn(1, 'the slot is being made, and waits for who was writing')
  const { limitBytes, safeBytes, inactiveLimitSeconds, inactiveSeconds } = health
  const log = shareOf(limitBytes, (limitBytes ?? 0) - (safeBytes ?? limitBytes ?? 0))
  const idle = shareOf(inactiveLimitSeconds, inactiveSeconds ?? 0)
  if (log >= ERROR_SHARE)
    return error(2, 'the server soon gives the slot up: the log that it may keep is nearly used up')
  if (idle >= ERROR_SHARE) return error(2, 'the server soon gives the slot up: nobody streams from it')
  if (log >= WARN_SHARE) return warn(1, 'much of the log that the server may keep for the slot is used up')
  if (idle >= WARN_SHARE) return warn(1, 'nobody streams from the slot, which the server will give up')
  if (health.status === 'extended') return warn(1, 'the server keeps more log for the slot than max_wal_size')
  return undefined
}

/** 0 where there is no limit. */
function shareOf(limit: number | null, amount: number): number {
  return limit === null || limit <= 0 ? 0 : amount / limit
}

function warn(severity: number, what: string): Alarm {
  return { level: 'warn', severity, what }
}

function error(severity: number, what: string): Alarm {
  return { level: 'error', severity, what }
}

const FIRST_REPEAT_MS = 60_000
const LAST_REPEAT_MS = 3_600_000
/** An alarm that comes and goes within this time is one alarm. */
const QUIET_MS = 60_000

/** Says that it got worse at once, that it still is ever more rarely, and that it is over once it has stayed over. */
export class SlotAlarm {
  readonly #log: Logger
  #severity = 0
  #seenAtMs = 0
  #repeatMs = FIRST_REPEAT_MS
  #sayAtMs = 0

  constructor(log: Logger) {
    this.#log = log
  }

  /** Whether `alarm` is to be said now. */
  isDue(alarm: Alarm | undefined, nowMs: number): boolean {
    if (!alarm) {
      if (this.#severity > 0 && nowMs - this.#seenAtMs >= QUIET_MS) this.#over()
      return false
    }
    this.#seenAtMs = nowMs
    const { severity } = alarm
    const worse = severity > this.#severity
    if (!worse && nowMs < this.#sayAtMs) return false
    this.#repeatMs = worse ? FIRST_REPEAT_MS : Math.min(LAST_REPEAT_MS, this.#repeatMs * 2)
    this.#severity = severity
    this.#sayAtMs = nowMs + this.#repeatMs
    return true
  }

  #over(): void {
    this.#severity = 0
    this.#log.info('the slot is well again')
  }
}
