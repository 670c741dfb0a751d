import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@tidemark/local'
import type { Connection, Session } from '@tidemark/refill'
import type { NotedReading, SessionStep } from './branching-history.ts'
import type { PrimaryServer } from './primary-server.ts'
import { type PromotionContext, SESSION_IDS } from './promotion-context.ts'

export type App = Awaited<ReturnType<PromotionContext['openApp']>>

/** A user's way through the apps: where one leaves off, the next one goes on with the token. */
interface Visit {
  token: string | undefined
  turns: number
  readonly steps: SessionStep[]
}

const READS_PER_TURN = 6
/** Who saw what is lost waits for long: users go, and others come. */
const TURNS_PER_VISIT = 8
const PAUSE_MS = 2
const IN_TIME = { timeoutMs: 120_000 }

/**
 * Readers of the rows, one per app, each by turns with and without a session, and all that they were handed. Sessions
 * wander from app to app.
 */
export class PromotionReaders implements AsyncDisposable {
  readonly readings: NotedReading[] = []
  readonly visits: Visit[] = []
  refused = 0
  readonly #context: PromotionContext
  readonly #ids: readonly number[]
  readonly #apps: App[]
  readonly #waiting: Visit[] = []
  readonly #reads: number[]
  #ended: Promise<unknown> | undefined
  #running = true
  #staying = false

  constructor(context: PromotionContext, ids: readonly number[], apps: readonly App[]) {
    this.#context = context
    this.#ids = ids
    this.#apps = [...apps]
    this.#reads = apps.map(() => 0)
  }

  start(): void {
    this.#ended = Promise.all(this.#apps.map((_, at) => this.#readOn(at)))
  }

  /** What comes of a restart: the app knows nothing any more, and the users have their tokens. */
  replace(at: number, app: App): void {
    this.#apps[at] = app
  }

  get sessions(): readonly (readonly SessionStep[])[] {
    return this.visits.map((v) => v.steps)
  }

  /** Waits until that many more readings have come. */
  async goOn(count: number): Promise<void> {
    const wanted = this.readings.length + count
    await waitUntil('reading goes on', () => this.readings.length >= wanted, IN_TIME)
  }

  /** Waits until every app has made a read that began after this call. */
  async everyAppLooks(): Promise<void> {
    // The one in hand may have begun before, the next one has not.
    const wanted = this.#reads.map((reads) => reads + 2)
    await waitUntil('every app reads', () => wanted.every((n, at) => this.#reads[at]! >= n), IN_TIME)
  }

  /** Waits until that many readings, from here on, were fresh and of values that this primary wrote. */
  async freshFrom({ timeline }: PrimaryServer, count: number): Promise<void> {
    const from = this.readings.length
    const isOne = ({ freshness, n }: NotedReading) => freshness === 'fresh' && n % 10 === timeline
    const enough = () => this.readings.slice(from).filter(isOne).length >= count
    await waitUntil(`values of timeline ${timeline} are fresh`, enough, IN_TIME)
  }

  /** From here on no user leaves: else all who saw what is lost might be gone when that is announced. */
  stay(): void {
    this.#staying = true
  }

  /** Users come and go again; whoever is here has a whole visit ahead. */
  leaveAgain(): void {
    for (const visit of this.visits) visit.turns = 0
    this.#staying = false
  }

  async stop(): Promise<void> {
    this.#running = false
    await this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #readOn(at: number): Promise<void> {
    for (let turn = 0; this.#running; turn++) {
      if (turn % 2 === 0) for (let i = 0; i < READS_PER_TURN; i++) await this.#read(at)
      else await this.#visit(at)
    }
  }

  async #visit(at: number): Promise<void> {
    const visit = this.#waiting.shift() ?? this.#newVisit()
    const session = this.#apps[at]!.tidemark.session(visit.token)
    await this.#write(at, session, visit)
    for (let i = 0; i < READS_PER_TURN; i++) {
      const reading = await this.#read(at, session)
      if (reading) visit.steps.push({ kind: 'read', reading })
    }
    visit.token = session.token()
    visit.turns += 1
    if (this.#staying || visit.turns < TURNS_PER_VISIT) this.#waiting.push(visit)
  }

  /** To a row that nobody else writes. When it fails nobody knows whether it happened; the session then says so itself. */
  async #write(at: number, session: Session, { steps }: Visit): Promise<void> {
    const id = SESSION_IDS[at]!
    const n = this.#context.nextValue()
    const write = (db: Connection) => db.query('update hot set n = $1 where id = $2', [n, id])
    const written = await session.write(write).then(
      () => true,
      () => false,
    )
    if (written) steps.push({ kind: 'wrote', id: String(id), n })
    const reading = await this.#read(at, session, id)
    if (reading) steps.push({ kind: 'read', reading })
  }

  #anyId(): number {
    return this.#ids[Math.floor(Math.random() * this.#ids.length)]!
  }

  #newVisit(): Visit {
    const visit: Visit = { token: undefined, turns: 0, steps: [] }
    this.visits.push(visit)
    return visit
  }

  async #read(at: number, session?: Session, id = this.#anyId()): Promise<NotedReading | undefined> {
    await sleep(PAUSE_MS)
    try {
      const epochBefore = await this.#context.announcedTo(id)
      const { value, ...known } = await this.#apps[at]!.rows.read({ id }, session ? { session } : {})
      const epochAfter = await this.#context.announcedTo(id)
      const reading = { id: String(id), n: value, ...known, epochBefore, epochAfter }
      this.readings.push(reading)
      return reading
    } catch {
      this.refused++ // honest, and counted
      return undefined
    } finally {
      this.#reads[at]! += 1
    }
  }
}
