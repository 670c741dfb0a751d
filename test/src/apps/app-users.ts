import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { isTidemarkError } from '@tidemark/protocol'
import type { Connection, Reading, ReadOptions, Session } from '@tidemark/refill'
import { between, pick, type Random } from '../seeded-random.ts'
import type { App, AppSetup } from './app.ts'
import type { AppHistory, SessionPlace } from './app-history.ts'
import type { AppPaths } from './app-paths.ts'
import type { Visit, Visits } from './app-visits.ts'
import { type Account, CACHED, IDS, KEYSPACES, type KeyspaceName, PAIRS } from './apps-source.ts'

/** What the users of one process are given. */
export interface UsersSetup {
  readonly setup: AppSetup
  readonly app: App
  readonly history: AppHistory
  readonly paths: AppPaths
  readonly visits: Visits
  readonly random: Random
}

const READS_PER_VISIT = 6
const MOST_KEYS = 8
/** How many of the calls without a session are for a snapshot. */
const SNAPSHOTS = 0.15
const CONSISTENCIES = [...Array<'contract'>(8).fill('contract'), 'strong', 'any'] as const
const USERS = { reading: 3, visiting: 1 }

/** The users of one process: some read, and some have a session that they came with and are sent on with. */
export class AppUsers {
  readonly #given: UsersSetup

  constructor(given: UsersSetup) {
    this.#given = given
  }

  /** Until the signal is aborted. */
  async act(signal: AbortSignal): Promise<void> {
    const readers = Array.from({ length: USERS.reading }, () => this.#goOn(signal, () => this.#readSome()))
    const visitors = Array.from({ length: USERS.visiting }, () => this.#goOn(signal, () => this.#visit()))
    await Promise.all([...readers, ...visitors])
  }

  async #goOn(signal: AbortSignal, turn: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      await turn()
      await sleep(this.#given.setup.pauseMs)
    }
  }

  async #readSome(): Promise<void> {
    const { random, paths } = this.#given
    if (random() < SNAPSHOTS) return this.#readSnapshot()
    const ids = Array.from({ length: random() < 0.2 ? between(random, 2, MOST_KEYS) : 1 }, () => this.#anyId())
    if (ids.length > 1) paths.count('call: several keys')
    await this.#read(pick(random, KEYSPACES), ids, { consistency: pick(random, CONSISTENCIES) })
  }

  async #visit(): Promise<void> {
    const { app, setup, visits } = this.#given
    const came = (await visits.next()) ?? this.#newcomer()
    this.#countHandOver(came)
    const session = app.tidemark.session(came.token ?? undefined)
    const place = (step: number): SessionPlace => ({ session: came.session, visit: came.visit, step })
    const written = came.visit % 2 === 0 ? await this.#write(session, place) : null
    for (let step = 2; step < READS_PER_VISIT + 2; step++) {
      await this.#read(pick(this.#given.random, KEYSPACES), [written ?? this.#anyId()], { session, place: place(step) })
      await sleep(setup.pauseMs)
    }
    const token = session.token()
    await visits.handOn({
      ...{ session: came.session, visit: came.visit + 1, token },
      ...{ process: setup.process, region: setup.region },
    })
  }

  #newcomer(): Visit {
    const { process, region } = this.#given.setup
    return { session: randomUUID(), visit: 0, token: null, process, region }
  }

  #countHandOver({ process, region }: Visit): void {
    const { setup, paths } = this.#given
    if (process !== setup.process) paths.count('call: session from another process')
    if (region !== setup.region) paths.count('call: session from another region')
  }

  /** @returns a row that it wrote, unless nobody knows whether it did; the session then says so itself */
  async #write(session: Session, place: (step: number) => SessionPlace): Promise<number | null> {
    const { random, history, paths } = this.#given
    const pair = pick(random, PAIRS)
    try {
      const rows = await session.write((db) => transfer(db, pair, between(random, -50, 50)))
      for (const [step, { id, n }] of rows.entries()) {
        await history.note({ kind: 'wrote', id: String(id), n, place: place(step) })
      }
      return pair[0]
    } catch {
      paths.count('call: write failed')
      return null
    }
  }

  async #read(
    keyspace: KeyspaceName,
    ids: readonly number[],
    { place, ...options }: ReadOptions & { readonly place?: SessionPlace } = {},
  ): Promise<void> {
    const { app, history, paths } = this.#given
    if (options.consistency !== undefined) paths.count(`call: ${options.consistency}`)
    const beganMs = Date.now()
    try {
      const params = ids.map((id) => ({ id }))
      const readings = await app.caches[keyspace].readMany(params, options)
      const endedMs = Date.now()
      for (const [i, reading] of readings.entries()) {
        const { value, ...known }: Reading<Account> = reading
        const { n, cents } = value
        const read = { kind: 'read', keyspace, id: String(ids[i]), n, cents, ...known, beganMs, endedMs } as const
        await history.note({ ...read, place: place ?? null })
      }
    } catch (error) {
      await this.#noteRefusal(keyspace, error)
    }
  }

  /** Two pairs, each row under any contract that has a cell: what is of one instant holds no more and no less money. */
  async #readSnapshot(): Promise<void> {
    const { app, history, paths, random } = this.#given
    const ids = [PAIRS[Math.floor(PAIRS.length * random() ** 3)]!, pick(random, PAIRS)].flat()
    const distinct = [...new Set(ids)]
    const references = distinct.map((id) => app.caches[pick(random, CACHED)].at({ id }))
    try {
      const { values, position, loaded } = await app.tidemark.snapshot(references)
      paths.count(`snapshot: ${loaded === 0 ? 'from redis' : loaded === distinct.length ? 'loaded' : 'completed'}`)
      const rows = values.map(({ n, cents }, i) => ({ id: String(distinct[i]), n, cents }))
      await history.note({ kind: 'snapshot', at: position, isExact: loaded === 0, rows })
    } catch (error) {
      await this.#noteRefusal('snapshot', error)
    }
  }

  async #noteRefusal(keyspace: string, error: unknown): Promise<void> {
    const code = isTidemarkError(error) ? error.code : null
    const message = error instanceof Error ? error.message : ''
    await this.#given.history.note({ kind: 'refused', keyspace, code, message })
  }

  /** Some rows are asked for far more often than others, as everywhere. */
  #anyId(): number {
    return IDS[Math.floor(IDS.length * this.#given.random() ** 3)]!
  }
}

/** Moves money within a pair; the rows are locked in one order, so that no two wait for each other in a circle. */
export async function transfer(
  db: Connection,
  [from, to]: readonly [number, number],
  cents: number,
): Promise<readonly { readonly id: number; readonly n: number }[]> {
  await db.query('select from hot where id in ($1, $2) order by id for update', [from, to])
  const { rows } = await db.query<{ id: number; n: number }>(
    `update hot set n = n + 1, cents = cents + case id when $1 then -$3::int4 else $3::int4 end
     where id in ($1, $2) returning id, n::int4 as n`,
    [from, to, cents],
  )
  return rows
}
