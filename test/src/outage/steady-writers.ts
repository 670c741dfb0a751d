import type { Pool } from 'pg'

/** Rows that are written again and again; every commit also has a row of its own, so that none hides behind a later one. */
const HOT_IDS = Array.from({ length: 5_000 }, (_, i) => i + 1)
const FIRST_OWN_ID = 1_000_000

const TICK_MS = 20
/** What waits for the database beyond this is given up: a client's pool has an end, too. */
const MAX_IN_FLIGHT = 500

const WRITE = `
  with hot_row as (update hot set n = n + 1 where id = $1)
  insert into hot values ($2, 0)`

/** How closely the schedule was kept. */
export interface WritersReport {
  readonly committed: number
  /** The database did not say that it had committed; it may have. */
  readonly failed: number
  readonly seconds: number
}

/**
 * Commits on a fixed schedule, whatever became of the commits before: the users of a shop do not slow down because
 * something behind it is slow.
 */
export class SteadyWriters implements AsyncDisposable {
  readonly #perSecond: number
  readonly #write: (number: number) => Promise<unknown>
  readonly #startedMs = performance.now()
  readonly #timer: NodeJS.Timeout
  readonly #inFlight = new Set<Promise<void>>()
  #due = 0
  #committed = 0
  #failed = 0

  /** @param write makes the commit of that number, from 0 on */
  constructor(perSecond: number, write: (number: number) => Promise<unknown>) {
    this.#perSecond = perSecond
    this.#write = write
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  /** Writers whose commits can all be found again. */
  static async start(pool: Pool, perSecond: number): Promise<SteadyWriters> {
    await pool.query('insert into hot select unnest($1::int[]), 0', [HOT_IDS])
    return new SteadyWriters(perSecond, (number) => {
      const hotId = HOT_IDS[(number * 7) % HOT_IDS.length]
      return pool.query(WRITE, [hotId, FIRST_OWN_ID + number])
    })
  }

  get committed(): number {
    return this.#committed
  }

  /** Returns when every write has had its answer. */
  async stop(): Promise<WritersReport> {
    clearInterval(this.#timer)
    const seconds = (performance.now() - this.#startedMs) / 1000
    await Promise.all(this.#inFlight)
    return { committed: this.#committed, failed: this.#failed, seconds }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #tick(): void {
    const due = Math.floor(((performance.now() - this.#startedMs) * this.#perSecond) / 1000)
    for (; this.#due < due; this.#due++) this.#begin(this.#due)
  }

  #begin(number: number): void {
    if (this.#inFlight.size >= MAX_IN_FLIGHT) {
      this.#failed++
      return
    }
    const write = this.#note(this.#write(number))
    this.#inFlight.add(write)
    void write.finally(() => this.#inFlight.delete(write))
  }

  async #note(write: Promise<unknown>): Promise<void> {
    try {
      await write
      this.#committed++
    } catch {
      this.#failed++ // what the database did commit is in its log, and that is what is looked for
    }
  }
}
