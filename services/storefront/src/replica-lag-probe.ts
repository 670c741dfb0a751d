import { parseLsn } from '@tidemark/protocol'
import type { Replica } from '@tidemark/refill'
import type { Pool } from 'pg'
import { ReplicaLag } from './replica-lag.ts'

const INTERVAL_MS = 500

/** Asks the primary and the replicas where they stand, for as long as it is not disposed of. */
export class ReplicaLagProbe implements Disposable {
  readonly #primary: Pool
  readonly #replicas: readonly Replica[]
  readonly #lag = new ReplicaLag()
  readonly #timer: NodeJS.Timeout
  #asking = false
  #seconds: Readonly<Record<string, number>> = {}

  constructor(primary: Pool, replicas: readonly Replica[]) {
    this.#primary = primary
    this.#replicas = replicas
    this.#timer = setInterval(() => void this.#ask(), INTERVAL_MS)
  }

  /** By the replica's name; one that did not answer the last time is absent. */
  get seconds(): Readonly<Record<string, number>> {
    return this.#seconds
  }

  /** One round at a time; the pools bound how long it takes. */
  async #ask(): Promise<void> {
    if (this.#asking || this.#replicas.length === 0) return
    this.#asking = true
    await this.#markPrimary().catch(() => undefined) // unknown: the lag then grows from the last mark
    const lags = await Promise.all(this.#replicas.map((replica) => this.#lagOf(replica).catch(() => [])))
    this.#seconds = Object.fromEntries(lags.flat())
    this.#asking = false
  }

  async #markPrimary(): Promise<void> {
    const { rows } = await this.#primary.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    // The time after the answer: whatever lies before the LSN was written before it.
    this.#lag.mark(parseLsn(rows[0]!.lsn), performance.now())
  }

  async #lagOf({ name, pool }: Replica): Promise<[string, number][]> {
    const connection = await pool.connect()
    try {
      const { rows } = await connection.query<{ lsn: string | null }>('select pg_last_wal_replay_lsn()::text as lsn')
      const lsn = rows[0]?.lsn
      const lagMs = lsn ? this.#lag.lagMs(parseLsn(lsn), performance.now()) : undefined
      return lagMs === undefined ? [] : [[name, lagMs / 1000]]
    } finally {
      connection.release()
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
