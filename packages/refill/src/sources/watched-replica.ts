import type { Position } from '@tidemark/protocol'
import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhen,
} from 'cockatiel'
import type { ConnectionPool } from './database.ts'
import { type Known, learned, UNKNOWN } from './replica-choice.ts'

export interface Replica {
  readonly name: string
  readonly pool: ConnectionPool
}

/** Failures in a row that open a circuit: fewer may be one query that recovery cancelled, or one slow load. */
const FAILURES_TO_OPEN = 3
/** How long an open circuit stays so before one load tries the replica again: first, and at most. */
const REST = { initialDelay: 1_000, maxDelay: 30_000 }

/** A load that its caller gave up says nothing of the replica. */
class GivenUp extends Error {}

/**
 * A replica, what is known of it, and its circuit: open while errors, time-outs and unfit answers follow each other, so
 * that a replica that hangs costs a few loads its time-out and not all. One that lags is well, and closes it.
 */
export class WatchedReplica {
  readonly name: string
  readonly pool: ConnectionPool
  #known: Known = UNKNOWN
  readonly #circuit: CircuitBreakerPolicy

  constructor({ name, pool }: Replica, onChange: (state: 'open' | 'closed') => void) {
    this.name = name
    this.pool = pool
    // While one load probes, a load that was given up is no success either: nothing was learned.
    const counts = (error: unknown) => !(error instanceof GivenUp) || this.#isProbed
    this.#circuit = circuitBreaker(handleWhen(counts), {
      breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN),
      halfOpenAfter: new ExponentialBackoff(REST),
    })
    this.#circuit.onBreak(() => onChange('open'))
    this.#circuit.onReset(() => onChange('closed'))
  }

  get known(): Known {
    return this.#known
  }

  /** Whether one load is finding out whether the replica is back. */
  get #isProbed(): boolean {
    return this.#circuit.state === CircuitState.HalfOpen
  }

  learn(position: Position, latencyMs: number): void {
    this.#known = learned(this.#known, position, latencyMs)
  }

  /** What `use` answers; null when the circuit is open, or another load probes it: that may take its time-out. Throws what it throws, or the signal's reason. */
  async ask<T>(use: () => Promise<T>, signal: AbortSignal | undefined): Promise<T | null> {
    this.#known = { ...this.#known, askedAt: performance.now() }
    if (this.#isProbed) return null
    try {
      return await this.#circuit.execute(async () => {
        try {
          return await use()
        } catch (cause) {
          throw isGivenUp(signal) ? new GivenUp('the load was given up', { cause }) : cause
        }
      })
    } catch (error) {
      if (error instanceof BrokenCircuitError) return null
      throw error instanceof GivenUp ? error.cause : error
    }
  }
}

/** By its caller; a load whose time is over has failed. */
function isGivenUp(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true && (signal.reason as { code?: unknown } | null)?.code !== 'DEADLINE_EXCEEDED'
}
