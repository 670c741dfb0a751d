import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@tidemark/local'
import { isTidemarkError } from '@tidemark/protocol'
import type { Connection, Reading, Session } from '@tidemark/refill'
import type { App } from './region-context.ts'
import { type Counter, IDS, KEYSPACES, type KeyspaceName } from './region-source.ts'

/** What a reader was handed, and when, by the wall clock. */
export interface NotedReading extends Omit<Reading<Counter>, 'value'> {
  readonly keyspace: KeyspaceName
  readonly id: string
  readonly n: number
  readonly inSession: boolean
  readonly beganMs: number
  readonly endedMs: number
}

/** A read that threw. */
export interface Refusal {
  readonly keyspace: KeyspaceName
  /** Null when its error has none: it should not have been thrown. */
  readonly code: string | null
  readonly inSession: boolean
  readonly beganMs: number
  readonly endedMs: number
}

/** What one session did, in its order. */
export type SessionStep =
  | { readonly kind: 'read'; readonly reading: NotedReading }
  | { readonly kind: 'wrote'; readonly id: string; readonly n: number }

/** A user's way through the apps: where one leaves off, the next one goes on with the token. */
interface Visit {
  token: string | undefined
  turns: number
  readonly steps: SessionStep[]
}

const READS_PER_TURN = 6
/** Who saw what no watermark has reached yet may have to wait for long: users go, and others come. */
const TURNS_PER_VISIT = 8
const PAUSE_MS = 3
const GO_ON_TIMEOUT_MS = 60_000

/** Of each app: readers without a session, and with one. */
const READERS = { plain: 2, visiting: 1 }

/** Readers of all keyspaces, and all that they were handed. Sessions wander from app to app. */
export class RegionReaders implements AsyncDisposable {
  readonly readings: NotedReading[] = []
  readonly refusals: Refusal[] = []
  readonly visits: Visit[] = []
  readonly #waiting: Visit[] = []
  readonly #ended: Promise<unknown>
  #running = true

  constructor(apps: readonly App[]) {
    const readers = apps.flatMap((app) => [
      ...Array.from({ length: READERS.plain }, () => this.#readOn(() => this.#read(app, anyId()))),
      ...Array.from({ length: READERS.visiting }, () => this.#readOn(() => this.#visit(app))),
    ])
    this.#ended = Promise.all(readers)
  }

  get sessions(): readonly (readonly SessionStep[])[] {
    return this.visits.map(({ steps }) => steps)
  }

  /** Waits until that many more readings have come. */
  async goOn(count: number): Promise<void> {
    const wanted = this.readings.length + count
    await waitUntil('reading goes on', () => this.readings.length >= wanted, { timeoutMs: GO_ON_TIMEOUT_MS })
  }

  async stop(): Promise<void> {
    this.#running = false
    await this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #readOn(turn: () => Promise<unknown>): Promise<void> {
    while (this.#running) await turn()
  }

  async #visit(app: App): Promise<void> {
    const visit = this.#waiting.shift() ?? this.#newVisit()
    const session = app.tidemark.session(visit.token)
    const written = visit.turns % 2 === 0 ? await this.#write(session, visit) : undefined
    for (let i = 0; i < READS_PER_TURN; i++) {
      const reading = await this.#read(app, i === 0 ? (written ?? anyId()) : anyId(), session)
      if (reading) visit.steps.push({ kind: 'read', reading })
    }
    visit.token = session.token()
    visit.turns += 1
    if (visit.turns < TURNS_PER_VISIT) this.#waiting.push(visit)
  }

  /** @returns the row, unless nobody knows whether it was written; the session then says so itself */
  async #write(session: Session, { steps }: Visit): Promise<number | undefined> {
    const id = anyId()
    const count = (db: Connection) =>
      db.query<{ n: string }>('update hot set n = n + 1 where id = $1 returning n', [id])
    try {
      const { rows } = await session.write(count)
      steps.push({ kind: 'wrote', id: String(id), n: Number(rows[0]!.n) })
      return id
    } catch {
      return undefined
    }
  }

  #newVisit(): Visit {
    const visit: Visit = { token: undefined, turns: 0, steps: [] }
    this.visits.push(visit)
    return visit
  }

  async #read(app: App, id: number, session?: Session): Promise<NotedReading | undefined> {
    await sleep(PAUSE_MS)
    const keyspace = anyOf(KEYSPACES)
    const inSession = session !== undefined
    const beganMs = Date.now()
    try {
      const { value, ...known } = await app.caches[keyspace].read({ id }, session ? { session } : {})
      const reading = { keyspace, id: String(id), n: value.n, ...known, inSession, beganMs, endedMs: Date.now() }
      this.readings.push(reading)
      return reading
    } catch (error) {
      const code = isTidemarkError(error) ? error.code : null
      this.refusals.push({ keyspace, code, inSession, beganMs, endedMs: Date.now() })
      return undefined
    }
  }
}

/** Some rows are asked for far more often than others, as everywhere. */
function anyId(): number {
  return IDS[Math.floor(IDS.length * Math.random() ** 3)]!
}

function anyOf<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)]!
}
