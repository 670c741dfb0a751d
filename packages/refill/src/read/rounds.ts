import { decodePayload, judge, type Terms } from '@tidemark/guard'
import { ORIGIN, type Position, satisfies } from '@tidemark/protocol'
import { lookAround, NOTHING_SEEN, type WideSight } from '../dependencies/dependency-look.ts'
import type { Read } from '../memory/copies.ts'
import { type Loaded, LoadFailure } from '../sources/labelled-load.ts'
import { dueAt } from '../value/early-refresh.ts'
import { Answers, type Reading, type Unproven } from './answer.ts'
import { BareLoads } from './bare-loads.ts'
import { isExpired } from './expiry.ts'
import { type Brought, type Flight, Flights, Interest } from './flights.ts'
import type { Inquiry, Wanted } from './inquiry.ts'
import { judgeJoined, judgeLoaded, type ReadDoubt } from './judge-loaded.ts'
import type { KeyspaceScope } from './keyspace-scope.ts'
import { look, lookAtViews } from './look.ts'
import { type DependenciesOf, type LoadAll, Refill } from './refill.ts'
import { mostShown, shownByPrimary } from './shown-by-primary.ts'

/** A key in a round: what was seen of it, and why that is of no use. */
interface Case {
  readonly wanted: Wanted
  readonly sight: WideSight
  /** Remembered from before the look, where this process may keep what it brings. */
  readonly read: Read | null
  doubt: ReadDoubt
}

/** What comes next for a key: it has been read; look again; load under a lease; or without one. */
type Step<Value> = Reading<Value> | 'again' | 'refill' | 'bare'

/**
 * The loop over the keys of one call. Each round looks at what is pending with one MGET a partition, hands over what is
 * fresh, and refills the rest at once. What another loads, or what only a later watermark can show, is pending still.
 */
export class Rounds<Value> {
  readonly #scope: KeyspaceScope
  readonly #answers: Answers<Value>
  readonly #refill: Refill<Value>
  readonly #flights = new Flights<Value>()
  readonly #bareLoads: BareLoads<Value>

  constructor(scope: KeyspaceScope, loadAll: LoadAll<Value>, dependenciesOf: DependenciesOf<Value>) {
    this.#scope = scope
    this.#answers = new Answers(scope)
    this.#refill = new Refill(scope, loadAll, dependenciesOf)
    this.#bareLoads = new BareLoads(this.#flights, (...load) => this.#refill.bare(...load))
  }

  /** Each key once. Rejects with the failure of the first key that fails. */
  async read(inquiry: Inquiry, wanted: readonly Wanted[]): Promise<Map<string, Reading<Value>>> {
    const readings = new Map<string, Reading<Value>>()
    let pending: readonly Case[] = wanted.flatMap((one) => {
      const held = this.#answers.held(inquiry, one.key)
      if (held) readings.set(one.key, held)
      return held ? [] : [{ wanted: one, sight: NOTHING_SEEN, read: null, doubt: 'absent' }]
    })
    if (pending.length === 0) return readings
    // Ends with the budget: what is pending then is answered by its contract.
    for (;;) {
      pending = await this.#round(inquiry, pending, readings)
      if (pending.length === 0) return readings
      await inquiry.budget.pause(this.#scope.host.timings.pollMs)
      if (!inquiry.budget.isOver) continue
      const late = async (one: Case) => readings.set(one.wanted.key, await this.#answers.outOfTime(inquiry, asked(one)))
      await Promise.all(pending.map(late))
      return readings
    }
  }

  /** What is still pending after it. */
  async #round(inquiry: Inquiry, pending: readonly Case[], readings: Map<string, Reading<Value>>) {
    const next = { again: [] as Case[], refill: [] as Case[], bare: [] as Case[] }
    const sort = (one: Case, step: Step<Value>) => {
      if (typeof step === 'string') next[step].push(one)
      else readings.set(one.wanted.key, step)
    }
    const cases = await this.#look(inquiry, pending)
    for (const one of cases) sort(one, this.#decide(inquiry, one))
    const refilled = next.refill.length > 0 ? await this.#refilled(inquiry, next.refill) : []
    for (const [i, step] of refilled.entries()) sort(next.refill[i]!, step)
    const loaded = next.bare.length > 0 ? await this.#loadedBare(inquiry, next.bare) : []
    for (const [i, step] of loaded.entries()) sort(next.bare[i]!, step)
    return next.again
  }

  async #look(inquiry: Inquiry, pending: readonly Case[]): Promise<readonly Case[]> {
    const wanted = pending.map((one) => one.wanted)
    const reads = wanted.map((one) => this.#scope.memory?.begin(one.key) ?? null)
    const looked = inquiry.isBypass ? lookAtViews(this.#scope, wanted) : look(this.#scope, wanted)
    const looking = looked.then((sights) => lookAround(this.#scope, sights))
    // Without a signal Redis' own bound is enough: a hit costs no more than its MGET.
    const seen = inquiry.budget.signal ? await inquiry.budget.within(looking) : await looking
    return wanted.map((one, i) => {
      const sight = seen?.[i]
      if (sight?.view) this.#scope.host.announced.met(sight.view)
      return { wanted: one, sight: sight ?? NOTHING_SEEN, read: reads[i]!, doubt: sight ? 'absent' : 'redis-away' }
    })
  }

  #decide(inquiry: Inquiry, one: Case): Step<Value> {
    if (inquiry.isBypass) return this.#decideBypass(inquiry, one)
    if (one.doubt === 'redis-away') return 'bare'
    const { view, cell } = one.sight
    const verdict = judge(view, cell, inquiry.terms, Date.now())
    const isOver = verdict.fresh && isExpired(cell!, this.#scope.keyspace.contract, Date.now())
    if (verdict.fresh && !isOver) return this.#hit(inquiry, one, verdict.position) ?? 'refill'
    one.doubt = verdict.fresh ? 'expired' : verdict.doubt
    if (inquiry.takesAny) return this.#answers.stale(inquiry, asked(one)) ?? 'refill'
    if (one.doubt === 'behind-session' && performance.now() < inquiry.watermarkDeadline) return 'again'
    return this.#staleWhileRefreshed(inquiry, one) ?? (isBlind(one) ? 'bare' : 'refill')
  }

  /** A value whose time is nearly over, or its soft one is, is loaded anew behind the reader that is handed it. */
  #hit(inquiry: Inquiry, one: Case, position: Position): Reading<Value> | null {
    const { memory, keyspace } = this.#scope
    const { wanted, sight, read } = one
    const reading = this.#answers.hit(inquiry, sight.cell!, position)
    if (reading === null) return null
    const payload = decodePayload(sight.cell!.payload)
    const isNegative = reading.value === undefined || reading.value === null
    if (read) memory?.keep(read, wanted.key, keyspace, sight, payload, reading.value)
    const isDue = Date.now() >= dueAt(payload, keyspace.contract, isNegative, Math.random())
    if (isDue) this.#refreshBehind(one, { ...inquiry.terms, demand: null })
    return reading
  }

  /**
   * By contract nothing is cached, and the primary is asked. Without a lease a view says all the same what the primary
   * shows from now on: enough for a session that has seen no more, and worth a wait for one that has.
   */
  #decideBypass({ terms, watermarkDeadline }: Inquiry, one: Case): Step<Value> {
    one.doubt = 'bypass'
    const shown = shownByPrimary(one.sight.view, terms.keyspace)
    const seesTooLittle = shown !== null && terms.demand !== null && !satisfies(shown, terms.demand.seen)
    return seesTooLittle && performance.now() < watermarkDeadline ? 'again' : 'bare'
  }

  /** With reaction `refresh` what a change made stale is served as such at once, and loaded anew behind its reader. */
  #staleWhileRefreshed(inquiry: Inquiry, one: Case): Reading<Value> | null {
    const isChanged = one.doubt === 'retained' || one.doubt === 'floor'
    if (this.#scope.keyspace.contract.reaction !== 'refresh' || !isChanged) return null
    const stale = this.#answers.stale(inquiry, asked(one))
    if (stale) this.#refreshBehind(one, { ...inquiry.terms, demand: null })
    return stale
  }

  /** The one load of the region, behind its readers: who else has the lease, or is in flight here, does it. */
  #refreshBehind(one: Case, terms: Terms): void {
    if (this.#flights.find(one.wanted.key, true)) return
    const refresh = async () => {
      const [flight] = this.#launch([one], terms, () => false)
      const brought = await flight!.landed()
      if (brought.code === 'failed') this.#scope.emit({ event: 'refreshFailed', error: causeOf(brought.error) })
    }
    if (!this.#scope.host.refreshes.start(one.wanted.key, refresh)) this.#scope.emit({ event: 'refreshPutOff' })
  }

  /** Joins the flights of these keys that others have begun, and begins the rest at once. */
  #refilled(inquiry: Inquiry, missed: readonly Case[]): Promise<Step<Value>[]> {
    const joined = missed.map((one) => this.#flights.find(one.wanted.key, inquiry.terms.demand !== null))
    const leading = missed.filter((_, i) => joined[i] === null)
    const mayWait = (one: Case) => !this.#answers.mayServe(inquiry, asked(one))
    const led = this.#launch(leading, inquiry.terms, mayWait).values()
    return Promise.all(
      missed.map(async (one, i) => {
        const flight = joined[i]
        if (!flight) return this.#land(inquiry, one, led.next().value!, judgeLoaded)
        const stale = this.#answers.stale(inquiry, asked(one))
        return stale ?? this.#land(inquiry, one, flight, judgeJoined)
      }),
    )
  }

  #launch(cases: readonly Case[], terms: Terms, mayWait: (one: Case) => boolean): Flight<Value>[] {
    const interest = new Interest()
    const errands = cases.map((one) => ({
      wanted: one.wanted,
      sight: one.sight,
      mayWait: mayWait(one),
      flight: this.#flights.begin(one.wanted.key, false, interest),
    }))
    void this.#refill.underLeases(errands, terms, interest.signal)
    return errands.map((errand) => errand.flight)
  }

  /** One load for all of them. */
  #loadedBare(inquiry: Inquiry, cases: readonly Case[]): Promise<Step<Value>[]> {
    const shown = inquiry.isBypass
      ? mostShown(
          cases.map((one) => one.sight.view),
          inquiry.terms.keyspace,
        )
      : null
    const boarded = this.#bareLoads.board(cases, inquiry, shown)
    return Promise.all(
      cases.map((one, i) => {
        const { flight, isSince, isLed } = boarded[i]!
        return this.#land(inquiry, one, flight, isSince ? judgeLoaded : judgeJoined, isLed)
      }),
    )
  }

  /** @param judgeIt `judgeLoaded` for who came before it began, `judgeJoined` for who joined; @param isLed it is this call's */
  async #land(
    inquiry: Inquiry,
    one: Case,
    flight: Flight<Value>,
    judgeIt: typeof judgeLoaded,
    isLed = judgeIt === judgeLoaded,
  ): Promise<Step<Value>> {
    const brought = await flight.wait(inquiry.budget)
    if (brought === null) return this.#answers.outOfTime(inquiry, asked(one))
    switch (brought.code) {
      case 'loaded':
        return this.#judged(inquiry, one, brought, judgeIt)
      case 'failed': {
        // Who joined a load of several keys did not ask for the others: he loads his own.
        if (brought.isShared && !isLed) return againUntil(inquiry.leaseDeadline)
        return this.#answers.failed(inquiry, asked(one), brought.error)
      }
      case 'unleased':
        return this.#unleased(inquiry, one, brought.why)
    }
  }

  #unleased(inquiry: Inquiry, one: Case, why: (Brought<Value> & { code: 'unleased' })['why']): Step<Value> {
    if (why === 'redis-away') one.doubt = 'redis-away'
    if (why === 'changed') return againUntil(inquiry.leaseDeadline)
    if (why !== 'busy') return 'bare'
    const stale = this.#answers.stale(inquiry, asked(one))
    return stale ?? againUntil(inquiry.leaseDeadline)
  }

  async #judged(
    inquiry: Inquiry,
    one: Case,
    brought: Brought<Value> & { code: 'loaded' },
    judgeIt: typeof judgeLoaded,
  ): Promise<Step<Value>> {
    const { loaded, view } = brought
    const terms = { ...inquiry.terms, announcedEpoch: this.#scope.host.announced.newest }
    const verdict = judgeIt(view, loaded, terms, Date.now())
    if (verdict.fresh) return this.#answers.loaded(inquiry, brought, verdict.position, one.doubt)
    const unshown = () => this.#answers.unshown(inquiry, { ...asked(one), doubt: verdict.doubt }, brought)
    if (inquiry.takesAny) return unshown()
    const mayNotBeHis = loaded.label !== null || terms.demand !== null
    if (judgeIt === judgeJoined && mayNotBeHis) return againUntil(inquiry.leaseDeadline)
    // A dependency that the load was the first to name requires more of it: the cell names it from now on.
    if (verdict.doubt === 'floor') return brought.isStored ? againUntil(inquiry.leaseDeadline) : 'bare'
    if (loaded.label === null || !mayPass(verdict.doubt, loaded, inquiry)) return unshown()
    if (!brought.isStored) await this.#seenIsCovered(inquiry, one.wanted)
    return 'again'
  }

  /** Until the watermark has reached what the session saw, or the wait is over: a look costs less than a load. */
  async #seenIsCovered({ terms, watermarkDeadline, budget }: Inquiry, { guard }: Wanted): Promise<void> {
    while (performance.now() < watermarkDeadline && !budget.isOver) {
      const view = await this.#scope.redis(() => guard.view())
      if (view === null || satisfies(view.watermark, terms.demand?.seen ?? ORIGIN)) return
      await budget.pause(this.#scope.host.timings.pollMs)
    }
  }
}

/** Nothing is known of a dependency's partition: a lease of the key's own would not help. */
function isBlind({ doubt, sight }: Case): boolean {
  return sight.dependencies.length > 0 && (doubt === 'no-view' || doubt === 'gap')
}

function asked({ wanted, sight, doubt }: Case): Unproven {
  return { wanted, cell: sight.cell, doubt }
}

function againUntil(deadline: number): 'again' | 'bare' {
  return performance.now() < deadline ? 'again' : 'bare'
}

/** Whether looking again may show a labelled load to be fresh, and there is time to. */
function mayPass(doubt: ReadDoubt, { loadedAt }: Loaded<unknown>, inquiry: Inquiry): boolean {
  const now = performance.now()
  switch (doubt) {
    case 'behind-session': // the watermark is about to come
      return now < inquiry.watermarkDeadline
    case 'no-view': // there was a view to grant the lease: it came between the look and that
    case 'gap':
      return now < inquiry.leaseDeadline
    case 'too-old': // the beat grew old while a replica answered; it is not asked again, and the primary's load is new
      return loadedAt === null && now < inquiry.leaseDeadline
    default:
      return false
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof LoadFailure ? error.cause : error
}
