import { isNativeError } from 'node:util/types'
import type { RedisClient } from '@tidemark/guard'
import { TidemarkError } from '@tidemark/protocol'
import { BrokenCircuitError, CircuitState, ConsecutiveBreaker, circuitBreaker, handleAll } from 'cockatiel'
import { inTime } from './deadline.ts'

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

/** What a command came to, when there was an answer: a refusal is one. */
type Answer<T> = { readonly value: T } | { readonly refusal: unknown }

const FAILURES_IN_A_ROW = 5
const MAX_CAUSES = 4

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
 * A Redis of which every command is bounded in time. After some in a row that had no answer it is passed by for a
 * moment, or each read of an outage would pay for the time-out; then one command probes it, and the others still pass.
 *
 * What Redis refuses (READONLY, MISCONF, OOM, NOREPLICAS) is an answer: a Redis that takes no writes goes on serving hits.
 */
export class RedisCircuit implements RedisClient {
  readonly #redis: RedisClient
  readonly #timeoutMs: number
  readonly #policy
  #isOpen = false

  constructor(
    redis: RedisClient,
    { redisTimeoutMs, redisPauseMs }: CircuitBounds,
    partition: number | null,
    tell: (event: CircuitEvent) => void,
  ) {
    this.#redis = redis
    this.#timeoutMs = redisTimeoutMs
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
    return this.#ask(() => this.#redis.evalsha(sha1, numberOfKeys, ...args))
  }

  eval(script: string, numberOfKeys: number, ...args: (string | Buffer)[]): Promise<unknown> {
    return this.#ask(() => this.#redis.eval(script, numberOfKeys, ...args))
  }

  mgetBuffer(...keys: string[]): Promise<(Buffer | null)[]> {
    return this.#ask(() => this.#redis.mgetBuffer(...keys))
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
    if ('refusal' in answer) throw answer.refusal
    return answer.value
  }
}

async function answerOf<T>(command: Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await command }
  } catch (error) {
    if (!isReply(error)) throw error
    return { refusal: error }
  }
}

/** Whether Redis itself said it: `ReplyError` is what ioredis calls that, alone or below what a client makes of it. */
function isReply(error: unknown): boolean {
  let at = error
  for (let depth = 0; depth < MAX_CAUSES && isNativeError(at); depth++) {
    if (at.name === 'ReplyError') return true
    at = at.cause
  }
  return false
}
