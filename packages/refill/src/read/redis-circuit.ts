import { isNativeError } from 'node:util/types'
import type { RedisClient } from '@tidemark/guard'
import { isTidemarkError, TidemarkError } from '@tidemark/protocol'
import { BrokenCircuitError, CircuitState, ConsecutiveBreaker, circuitBreaker, handleAll } from 'cockatiel'
import { inTime } from '../deadline.ts'

/** What a command is refused with that was not sent, since those before it had no answer. */
export class PassedBy extends TidemarkError {
  constructor() {
    super('SERVER_UNREACHABLE', 'Redis is passed by for a moment')
  }
}

export interface CircuitBounds {
  /** How long one command may take. */
  readonly redisTimeoutMs: number
  /** How long Redis is passed by until one command probes it. */
  readonly redisPauseMs: number
}

/** `partition` is null where all of them are on one server. */
export type CircuitEvent =
  | { readonly event: 'redisCircuitOpened'; readonly partition: number | null; readonly error: unknown }
  | { readonly event: 'redisCircuitClosed'; readonly partition: number | null }

/** What a command came to in time: a value, or an error that cost nothing. */
type Answer<T> = { readonly value: T } | { readonly error: unknown }

const FAILURES_IN_A_ROW = 5

/** The circuit of each partition: its own with a cluster, whose servers fail one by one, else one for all. */
export function redisCircuits(
  redis: RedisClient,
  partitions: number,
  timings: CircuitBounds,
  tell: (event: CircuitEvent) => void,
): RedisCircuit[] {
  if (!redis.isCluster) return new Array(partitions).fill(new RedisCircuit(redis, timings, null, tell))
  return Array.from({ length: partitions }, (_, p) => new RedisCircuit(redis, timings, p, tell))
}

/**
 * A Redis of which every command is bounded in time. After some in a row that had no answer in time it is passed by for
 * a moment, or each read of an outage would pay for the time-out; then one command probes it, and the others still pass.
 *
 * What fails at once costs no time and opens nothing: a refusal, or a connection that is being made anew. But a script
 * that Redis refuses for being a write is not sent for a moment: a client may look for the master then, over a new
 * connection, and take the looks that are under way down with the old one. A Redis without writes goes on serving hits.
 */
export class RedisCircuit implements RedisClient {
  readonly #redis: RedisClient
  readonly #timeoutMs: number
  readonly #policy
  readonly #refused = new Map<string, number>()
  readonly #pauseMs: number
  #isOpen = false

  constructor(
    redis: RedisClient,
    { redisTimeoutMs, redisPauseMs }: CircuitBounds,
    partition: number | null,
    tell: (event: CircuitEvent) => void,
  ) {
    this.#redis = redis
    this.#timeoutMs = redisTimeoutMs
    this.#pauseMs = redisPauseMs
    this.#policy = circuitBreaker(handleAll, {
      halfOpenAfter: redisPauseMs,
      breaker: new ConsecutiveBreaker(FAILURES_IN_A_ROW),
    })
    this.#policy.onBreak((reason) => {
      if (this.#isOpen) return // a probe failed: nothing new
      this.#isOpen = true
      tell({ event: 'redisCircuitOpened', partition, error: 'error' in reason ? reason.error : undefined })
    })
    this.#policy.onReset(() => {
      this.#isOpen = false
      tell({ event: 'redisCircuitClosed', partition })
    })
  }

  evalsha(sha1: string, numberOfKeys: number, ...args: (string | Buffer)[]): Promise<unknown> {
    return this.#write(sha1, () => this.#redis.evalsha(sha1, numberOfKeys, ...args))
  }

  eval(script: string, numberOfKeys: number, ...args: (string | Buffer)[]): Promise<unknown> {
    return this.#ask(() => this.#redis.eval(script, numberOfKeys, ...args))
  }

  mgetBuffer(...keys: string[]): Promise<(Buffer | null)[]> {
    return this.#ask(() => this.#redis.mgetBuffer(...keys))
  }

  /** Each script for itself: one that only reads goes on. There are as many as the guard has. */
  async #write<T>(sha1: string, command: () => Promise<T>): Promise<T> {
    if (performance.now() < (this.#refused.get(sha1) ?? 0)) throw new PassedBy()
    try {
      return await this.#ask(command)
    } catch (error) {
      if (refusesWrites(error)) this.#refused.set(sha1, performance.now() + this.#pauseMs)
      throw error
    }
  }

  async #ask<T>(command: () => Promise<T>): Promise<T> {
    // Of its own the policy would have everybody wait for the probe.
    if (this.#policy.state === CircuitState.HalfOpen) throw new PassedBy()
    let answer: Answer<T>
    try {
      answer = await this.#policy.execute(() => answerOf(inTime(command(), this.#timeoutMs, 'Redis')))
    } catch (error) {
      throw error instanceof BrokenCircuitError ? new PassedBy() : error
    }
    if ('error' in answer) throw answer.error
    return answer.value
  }
}

async function answerOf<T>(command: Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await command }
  } catch (error) {
    if (isTimeout(error)) throw error
    return { error }
  }
}

/** Of ours, or of ioredis, which has no class for its own. */
function isTimeout(error: unknown): boolean {
  return isTidemarkError(error, 'DEADLINE_EXCEEDED') || (isNativeError(error) && /timed out/i.test(error.message))
}

/** A replica, a disk that cannot be written, no memory, too few replicas. 6.2 and some clients put words before it. */
function refusesWrites(error: unknown): boolean {
  return isNativeError(error) && /\b(?:READONLY|MISCONF|OOM|NOREPLICAS)\b/.test(error.message)
}
