import type { Outcome } from '@tidemark/guard'
import type { Repairs } from './repairs.ts'

/** What a replay has done so far. */
export class ReplayTally {
  #records = 0
  #unreadable = 0
  #events = 0
  #floors = 0
  readonly #outcomes = new Map<Outcome, number>()
  #startedMs = performance.now()

  /** The search for where to begin is no part of the rate. */
  begin(): void {
    this.#startedMs = performance.now()
  }

  read(records: number): void {
    this.#records += records
  }

  applied(repairs: Repairs, outcomes: readonly Outcome[]): void {
    this.#unreadable += repairs.unreadable
    this.#events += outcomes.length
    this.#floors += repairs.floors.length + (repairs.epochStart === null ? 0 : 1)
    for (const outcome of outcomes) this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1)
  }

  get figures(): ReplayFigures {
    const seconds = (performance.now() - this.#startedMs) / 1_000
    return {
      records: this.#records,
      seconds: Math.round(seconds * 10) / 10,
      recordsPerSecond: Math.round(this.#records / Math.max(seconds, 0.001)),
      events: this.#events,
      outcomes: Object.fromEntries(this.#outcomes),
      floors: this.#floors,
      unreadable: this.#unreadable,
    }
  }
}

export interface ReplayFigures {
  readonly records: number
  readonly seconds: number
  readonly recordsPerSecond: number
  /** A key's events of one batch count once: the newest says all that the older ones do. */
  readonly events: number
  readonly outcomes: Readonly<Partial<Record<Outcome, number>>>
  /** Starts of epochs, the floors of all keyspaces, included. */
  readonly floors: number
  readonly unreadable: number
}
