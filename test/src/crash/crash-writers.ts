import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { between, pick, type Random } from '../seeded-random.ts'
import { BULK_LIMIT } from './crash-source.ts'

const WRITERS = 3
const HOT_ITEMS = 8
const ITEMS = 400
const OWNERS = 20
/** Of each writer: they are to fill the log for as long as the lives take, not to keep the machine busy. */
const MAX_PAUSE_MS = 20

const ENTRY = 'insert into entry default values'

function upsert(random: Random, id: number): string {
  return (
    `insert into item values (${id}, ${between(random, 1, OWNERS)}, 0) ` +
    'on conflict (id) do update set n = item.n + 1, owner = excluded.owner'
  )
}

/** Of `count` items in a row: in one order everywhere, so that few transactions deadlock. */
function upsertMany(random: Random, count: number): string {
  const from = between(random, 1, ITEMS)
  return (
    `insert into item select id, 1 + id % ${OWNERS}, 0 from generate_series(${from}, ${from + count - 1}) id ` +
    'on conflict (id) do update set n = item.n + 1'
  )
}

const hot = (random: Random) => between(random, 1, HOT_ITEMS)
const any = (random: Random) => between(random, 1, ITEMS)

/** Whole transactions, and how often each comes. */
const TRANSACTIONS: readonly (readonly [weight: number, sql: (random: Random) => string])[] = [
  [40, (r) => `${upsert(r, hot(r))}; ${ENTRY}`],
  [20, (r) => `${upsert(r, any(r))}; ${ENTRY}`],
  [8, (r) => `${upsertMany(r, BULK_LIMIT / 2)}; ${ENTRY}`],
  [6, (r) => `update item set owner = ${between(r, 1, OWNERS)} where id = ${hot(r)}; ${ENTRY}`],
  [6, (r) => `update item set id = ${any(r)} where id = ${any(r)}; ${ENTRY}`],
  [6, (r) => `delete from item where id = ${pick(r, [hot, any])(r)}; ${ENTRY}`],
  [6, (r) => `begin; ${upsert(r, hot(r))}; ${ENTRY}; rollback`],
  [6, (r) => `begin; ${ENTRY}; savepoint s; ${upsert(r, any(r))}; ${ENTRY}; rollback to s; ${ENTRY}; commit`],
  [1, (r) => `${upsertMany(r, BULK_LIMIT * 2)}; ${ENTRY}`],
  [1, () => `truncate item; ${ENTRY}`],
]

const WHEEL = TRANSACTIONS.flatMap(([weight, sql]) => Array.from({ length: weight }, () => sql))

/** A key that another row has, or a deadlock: the transaction was rolled back, which is a case of its own. */
const ROLLED_BACK = ['23505', '40P01']

/** Several connections that write whatever the seed chooses until they are stopped. */
export class CrashWriters implements AsyncDisposable {
  readonly #random: Random
  readonly #ending = new AbortController()
  readonly #ended: Promise<unknown>

  constructor(url: string, random: Random) {
    this.#random = random
    this.#ended = Promise.all(Array.from({ length: WRITERS }, () => this.#write(url)))
    this.#ended.catch(() => undefined)
  }

  /** Throws what a writer failed with. */
  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#ended
  }

  async #write(url: string): Promise<void> {
    const client = new Client({ connectionString: url })
    await client.connect()
    try {
      while (!this.#ending.signal.aborted) {
        await transact(client, pick(this.#random, WHEEL)(this.#random))
        await sleep(this.#random() * MAX_PAUSE_MS)
      }
    } finally {
      await client.end()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => undefined)
  }
}

/** One message is one transaction, unless it says otherwise. */
async function transact(client: Client, sql: string): Promise<void> {
  try {
    await client.query(sql)
  } catch (error) {
    if (!ROLLED_BACK.includes((error as { code?: string }).code ?? '')) throw error
  }
}
