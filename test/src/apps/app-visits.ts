import type { Redis } from 'ioredis'

/** A session between two processes: what one hands on, and the next one opens. */
export interface Visit {
  readonly session: string
  readonly visit: number
  readonly token: string | null
  /** Who had it last. */
  readonly process: string
  readonly region: string
}

/** Who saw what no watermark has reached yet may have to wait for long: users go, and others come. */
const MOST_VISITS = 8

/** Sessions that wait for the next process, of whichever region: as users do who are sent elsewhere by a load balancer. */
export class Visits {
  readonly #redis: Redis
  readonly #name: string

  constructor(redis: Redis, source: string) {
    this.#redis = redis
    this.#name = `${source}.visits`
  }

  async next(): Promise<Visit | null> {
    const text = await this.#redis.lpop(this.#name)
    return text === null ? null : (JSON.parse(text) as Visit)
  }

  async handOn(visit: Visit): Promise<void> {
    if (visit.visit < MOST_VISITS) await this.#redis.rpush(this.#name, JSON.stringify(visit))
  }
}
