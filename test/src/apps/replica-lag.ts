import { setTimeout as sleep } from 'node:timers/promises'
import type { PostgresServer } from '@tidemark/local'
import { between, pick, type Random } from '../seeded-random.ts'

/** How long a replica stays as far behind as it is. */
const STAY_MS = { min: 500, max: 4_000 }

/** Lets each replica fall behind at random, by up to `mostMs`, until it is stopped; then none lags any more. */
export class ReplicaLag implements AsyncDisposable {
  readonly #ending = new AbortController()
  readonly #ended: Promise<unknown>

  constructor(replicas: readonly PostgresServer[], random: Random, mostMs: number) {
    // Mostly they are well: a fleet that never is would leave everything to the primary.
    const lags = [0, 0, 30, 60, 90, 1_000, mostMs]
    this.#ended = Promise.all(replicas.map((replica) => this.#vary(replica, random, lags)))
  }

  async #vary(replica: PostgresServer, random: Random, lags: readonly number[]): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      await lagBy(replica, pick(random, lags))
      await sleep(between(random, STAY_MS.min, STAY_MS.max), undefined, { signal }).catch(() => undefined)
    }
    await lagBy(replica, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    await this.#ended
  }
}

/** Whoever waits for the old delay reads the new one at once. */
async function lagBy(replica: PostgresServer, ms: number): Promise<void> {
  await replica.query(`alter system set recovery_min_apply_delay = '${ms}ms'`)
  await replica.query('select pg_reload_conf()')
}
