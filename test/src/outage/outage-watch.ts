import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Pool } from 'pg'

/** What a publisher takes of its machine, and of the database's. */
export interface Sample {
  readonly atMs: number
  readonly rssBytes: number
  /** The log that its slot keeps the server from throwing away; undefined while nobody can be asked. */
  readonly retainedBytes: number | undefined
}

const EVERY_MS = 500

/** Looks at a publisher's process and slot all the time. */
export class OutageWatch implements AsyncDisposable {
  readonly samples: Sample[] = []
  readonly #pid: number
  readonly #pool: Pool
  readonly #slot: string
  readonly #ending = new AbortController()
  readonly #ended: Promise<void>

  constructor(pid: number, pool: Pool, slot: string) {
    this.#pid = pid
    this.#pool = pool
    this.#slot = slot
    this.#ended = this.#watch()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    await this.#ended
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      const [rssBytes, retainedBytes] = await Promise.all([rssOf(this.#pid), this.#retained()])
      this.samples.push({ atMs: Date.now(), rssBytes, retainedBytes })
      await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  async #retained(): Promise<number | undefined> {
    const query = 'select (pg_current_wal_insert_lsn() - restart_lsn)::bigint as n from pg_replication_slots'
    try {
      const { rows } = await this.#pool.query<{ n: string }>(`${query} where slot_name = $1`, [this.#slot])
      return Number(rows[0]?.n)
    } catch {
      return undefined
    }
  }
}

/** The resident memory of a process. */
async function rssOf(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)])
  return Number(stdout) * 1024
}
