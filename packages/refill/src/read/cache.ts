import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Cell,
  type Demand,
  type Doubt,
  decodePayload,
  floorOf,
  judge,
  type Label,
  type LeaseResult,
  type Sight,
  type View,
} from '@tidemark/guard'
import {
  after,
  isTidemarkError,
  type Keyspace,
  type KeyValue,
  keyFor,
  maxPosition,
  ORIGIN,
  type Position,
  satisfies,
  TidemarkError,
} from '@tidemark/protocol'
import type { Session } from '../session/session.ts'
import type { Connection } from '../sources/database.ts'
import { type Loaded, LoadFailure } from '../sources/labelled-load.ts'
import type { FromSource } from '../sources/sources.ts'
import { forSession } from '../sources/standing.ts'
import { judgeLoaded, type ReadDoubt } from './judge-loaded.ts'
import { type CacheHost, KeyspaceScope } from './keyspace-scope.ts'
import { loadUnderLease, type Refilled, takeLease, type Wanted } from './leased-load.ts'

export interface CacheOptions<Params, Value> {
  /** Reads the value by the connection it is given, and by nothing else: the label is that connection's. */
  readonly load: (db: Connection, params: Params) => Promise<Value>
}

export interface ReadOptions {
  /** Never older than what this session wrote or saw. */
  readonly session?: Session
}

/** A value, and how much is known of it. */
export interface Reading<Value> {
  readonly value: Value
  /** `fresh`: shown to meet the keyspace's contract. `stale`: not shown; `doubt` says why. */
  readonly freshness: 'fresh' | 'stale'
  readonly doubt: ReadDoubt | null
  /** The value reflects every commit to its key that this covers; null when it came without a label. */
  readonly position: Position | null
  /** And it includes no commit to its key that the label's `high` does not cover. */
  readonly label: Label | null
  /** `redis`, `primary`, or the replica's name. */
  readonly from: string
}

const REDIS = 'redis'

/** What one read is about; made once, so that its steps need not pass six things along. */
interface Inquiry<Value> extends Wanted<Value> {
  readonly session: Session | undefined
  readonly leaseDeadline: number
  readonly watermarkDeadline: number
}

/** Either the read's end, or a reason to look again. */
type Step<Value> = Reading<Value> | 'again'

/**
 * The reads of one keyspace. A hit is one MGET of view and cell, and a pure decision. A miss takes the lease, loads
 * with a label, and stores by compare-and-set. Loading first and asking afterwards whether the value may be stored
 * could not label a load from the primary: only what the lease granted beforehand is known to have been visible.
 */
export class Cache<Params extends Readonly<Record<string, KeyValue>>, Value> {
  readonly #host: CacheHost
  readonly #keyspace: Keyspace
  readonly #scope: KeyspaceScope
  readonly #options: CacheOptions<Params, Value>

  constructor(host: CacheHost, keyspace: Keyspace, options: CacheOptions<Params, Value>) {
    this.#host = host
    this.#keyspace = keyspace
    this.#scope = new KeyspaceScope(host, keyspace)
    this.#options = options
  }

  /** The value alone. What `read` throws, this throws; a contract of `serve-stale` may make it stale. */
  async get(params: Params, options: ReadOptions = {}): Promise<Value> {
    return (await this.read(params, options)).value
  }

  /**
   * The value and how much is known of it.
   * Throws KEY_PARAMS_INVALID; LOAD_FAILED when `load` threw on the primary; UNPROVABLE when nothing could be shown
   * to be fresh and the contract says `fail`; VALUE_UNCACHEABLE when the serializer refuses the value.
   */
  async read(params: Params, options: ReadOptions = {}): Promise<Reading<Value>> {
    const { clockSkewMs } = this.#host.source
    const { name, template, contract } = this.#keyspace
    const key = keyFor(template, params)
    const demand = (await options.session?.demand()) ?? null
    const start = performance.now()
    const inquiry: Inquiry<Value> = {
      key,
      guard: this.#host.guardOf(key),
      terms: { keyspace: name, contract, clockSkewMs, demand },
      session: options.session,
      load: (db) => this.#options.load(db, params),
      leaseDeadline: start + this.#host.timings.leaseWaitMs,
      watermarkDeadline: start + this.#host.timings.watermarkWaitMs,
    }
    // Ends: each further round waits pollMs or was let in by another's store, and the deadlines stop the waiting.
    try {
      for (;;) {
        const step = await this.#step(inquiry)
        if (step !== 'again') return step
        await sleep(this.#host.timings.pollMs)
      }
    } catch (error) {
      this.#scope.emit({ event: 'readFailed', code: isTidemarkError(error) ? error.code : null })
      throw error
    }
  }

  async #step(inquiry: Inquiry<Value>): Promise<Step<Value>> {
    if (this.#keyspace.contract.reaction === 'bypass') return this.#bypass(inquiry)
    const sight = await this.#look(inquiry)
    if (sight === null) return this.#loadUncached(inquiry, null, 'redis-away')
    if (sight.view !== null) this.#host.announced.met(sight.view)
    const verdict = judge(sight.view, sight.cell, inquiry.terms, Date.now())
    if (verdict.fresh)
      return this.#serve(inquiry, sight.cell!, verdict.position) ?? this.#refill(inquiry, sight, 'absent')
    if (verdict.doubt === 'behind-session' && performance.now() < inquiry.watermarkDeadline) return 'again'
    return this.#serveAndRefresh(inquiry, sight, verdict.doubt) ?? this.#refill(inquiry, sight, verdict.doubt)
  }

  /**
   * By contract nothing is cached, and the primary is asked. Without a lease a view says all the same what the primary
   * shows from now on: enough for a session that has seen no more, and worth a wait for one that has.
   */
  async #bypass(inquiry: Inquiry<Value>): Promise<Step<Value>> {
    const { guard, terms, watermarkDeadline } = inquiry
    const view = await this.#scope.redis(() => guard.view())
    if (view !== null) this.#host.announced.met(view)
    const shown = shownByPrimary(view, terms.keyspace)
    const seesTooLittle = shown !== null && terms.demand !== null && !satisfies(shown, terms.demand.seen)
    if (seesTooLittle && performance.now() < watermarkDeadline) return 'again'
    return this.#loadUncached(inquiry, { view, cell: null }, 'bypass', shown)
  }

  /** A cell that cannot be read is as good as none: whoever has the lease writes it anew. */
  async #look({ guard, key }: Inquiry<Value>): Promise<Sight | null> {
    return this.#scope.redis(async () => {
      try {
        return await guard.look(key)
      } catch (error) {
        if (!isTidemarkError(error, 'CELL_MALFORMED')) throw error
        this.#scope.emit({ event: 'redisFailed', error })
        return { view: await guard.view(), cell: null }
      }
    })
  }

  /** With reaction `refresh` what a change made stale is served as such at once, and loaded anew behind its reader. */
  #serveAndRefresh(inquiry: Inquiry<Value>, sight: Sight, doubt: Doubt): Reading<Value> | null {
    const isChanged = doubt === 'retained' || doubt === 'floor'
    if (this.#keyspace.contract.reaction !== 'refresh' || !isChanged) return null
    if (sight.cell !== null && isBehind(sight.cell.label.low, inquiry.terms.demand)) return null
    const stale = this.#retained(inquiry, sight.cell, doubt)
    if (stale === null) return null
    const wanted = { ...inquiry, terms: { ...inquiry.terms, demand: null } }
    const started = this.#host.refreshes.start(inquiry.key, () => this.#refresh(wanted, sight))
    if (!started) this.#scope.emit({ event: 'refreshPutOff' })
    return stale
  }

  /** The one load of the region: without the lease there is none, for somebody else has it. */
  async #refresh(wanted: Wanted<Value>, { view, cell }: Sight): Promise<void> {
    try {
      const lease = await takeLease(this.#scope, wanted, cell)
      if (lease?.answer.code === 'granted') await loadUnderLease(this.#scope, wanted, view, lease.id, lease.answer)
    } catch (error) {
      this.#scope.emit({ event: 'refreshFailed', error: error instanceof LoadFailure ? error.cause : error })
    }
  }

  async #refill(inquiry: Inquiry<Value>, sight: Sight, doubt: Doubt): Promise<Step<Value>> {
    const lease = await takeLease(this.#scope, inquiry, sight.cell)
    if (lease === null) return this.#loadUncached(inquiry, sight, 'redis-away')
    const { id, answer } = lease
    if (answer.code === 'granted') return this.#loadUnderLease(inquiry, sight, doubt, id, answer)
    if (answer.code === 'changed' && performance.now() < inquiry.leaseDeadline) return 'again'
    if (answer.code === 'busy') {
      const stale = inquiry.terms.demand === null ? this.#retained(inquiry, sight.cell, doubt) : null
      if (stale) return stale
      this.#scope.emit({ event: 'leaseWait' })
      if (performance.now() < inquiry.leaseDeadline) return 'again'
    }
    return this.#loadUncached(inquiry, sight, doubt)
  }

  async #loadUnderLease(
    inquiry: Inquiry<Value>,
    sight: Sight,
    doubt: Doubt,
    id: string,
    answer: LeaseResult & { code: 'granted' },
  ): Promise<Step<Value>> {
    let refilled: Refilled<Value>
    try {
      refilled = await loadUnderLease(this.#scope, inquiry, sight.view, id, answer)
    } catch (error) {
      return this.#failed(inquiry, error, sight.cell, doubt)
    }
    const step = this.#judged(inquiry, sight, refilled.got, doubt)
    if (step === 'again' && refilled.outcome !== 'stored') await this.#seenIsCovered(inquiry)
    return step
  }

  /** Until the watermark has reached what the session saw, or the wait is over: a look costs less than a load. */
  async #seenIsCovered({ guard, terms, watermarkDeadline }: Inquiry<Value>): Promise<void> {
    while (performance.now() < watermarkDeadline) {
      const view = await this.#scope.redis(() => guard.view())
      if (view === null || satisfies(view.watermark, terms.demand?.seen ?? ORIGIN)) return
      await sleep(this.#host.timings.pollMs)
    }
  }

  /** Without Redis, a view, or the lease there is nothing to label by: the primary is asked and nothing is cached. */
  async #loadUncached(
    inquiry: Inquiry<Value>,
    sight: Sight | null,
    doubt: ReadDoubt,
    shown: Position | null = null,
  ): Promise<Step<Value>> {
    let got: FromSource<Value>
    try {
      got = await this.#host.sources.loadFromPrimary(inquiry.load, shown)
    } catch (error) {
      return this.#failed(inquiry, error, sight?.cell ?? null, doubt)
    }
    return this.#judged(inquiry, sight, got, doubt)
  }

  #judged(inquiry: Inquiry<Value>, sight: Sight | null, got: FromSource<Value>, doubt: ReadDoubt): Step<Value> {
    const { value, label } = got.loaded
    const { from } = got
    const terms = { ...inquiry.terms, announcedEpoch: this.#host.announced.newest }
    const verdict = judgeLoaded(sight?.view ?? null, got.loaded, terms, Date.now())
    if (verdict.fresh) {
      noteLoaded(inquiry.session, got.loaded)
      return this.#ended({ value, freshness: 'fresh', doubt: null, position: verdict.position, label, from }, doubt)
    }
    if (label !== null && mayPass(verdict.doubt, got.loaded, inquiry)) return 'again'
    if (this.#keyspace.contract.whenUnprovable === 'fail') throw this.#unprovable(verdict.doubt)
    noteLoaded(inquiry.session, got.loaded)
    const position = label?.low ?? null
    return this.#ended({ value, freshness: 'stale', doubt: verdict.doubt, position, label, from })
  }

  #failed(inquiry: Inquiry<Value>, error: unknown, cell: Cell | null, doubt: ReadDoubt): Reading<Value> {
    if (error instanceof TidemarkError) throw error
    const stale = this.#retained(inquiry, cell, doubt)
    if (stale) return stale
    if (error instanceof LoadFailure) {
      throw new TidemarkError('LOAD_FAILED', `the load of keyspace ${this.#keyspace.name} failed`, {
        cause: error.cause,
      })
    }
    throw this.#unprovable(doubt, error)
  }

  #serve(inquiry: Inquiry<Value>, cell: Cell, position: Position): Reading<Value> | null {
    const { demand } = inquiry.terms
    const reading = this.#fromCell(inquiry, cell, { freshness: 'fresh', doubt: null, position })
    if (reading && demand && !satisfies(position, demand.seen)) this.#scope.emit({ event: 'versionRegression' })
    return reading
  }

  /** What is in the cell, as stale, where the contract allows that. */
  #retained(inquiry: Inquiry<Value>, cell: Cell | null, doubt: ReadDoubt): Reading<Value> | null {
    if (cell === null || this.#keyspace.contract.whenUnprovable !== 'serve-stale') return null
    return this.#fromCell(inquiry, cell, { freshness: 'stale', doubt, position: cell.label.low })
  }

  /** Null when the value cannot be decoded, because another serializer wrote it: then it is loaded anew. */
  #fromCell(
    inquiry: Inquiry<Value>,
    { label, payload }: Cell,
    known: Pick<Reading<Value>, 'freshness' | 'doubt' | 'position'>,
  ): Reading<Value> | null {
    let value: Value
    try {
      value = this.#host.serializer.decode(decodePayload(payload).body) as Value
    } catch {
      // Without the cause: what JSON.parse throws quotes the value.
      const what = `a value of keyspace ${this.#keyspace.name} cannot be decoded`
      this.#scope.emit({ event: 'redisFailed', error: new TidemarkError('CELL_MALFORMED', what) })
      return null
    }
    // A stale value, too, may show what no other source shows yet.
    inquiry.session?.saw(label.high, null)
    return this.#ended({ value, ...known, label, from: REDIS })
  }

  #unprovable(doubt: ReadDoubt, cause?: unknown): TidemarkError {
    return new TidemarkError(
      'UNPROVABLE',
      `no value of keyspace ${this.#keyspace.name} can be shown to be fresh (${doubt})`,
      {
        mend: "Try again, or let the contract say whenUnprovable: 'serve-stale'",
        cause,
      },
    )
  }

  /** @param miss why the cell could not be used, when the value was loaded instead */
  #ended(reading: Reading<Value>, miss: Reading<Value>['doubt'] = reading.doubt): Reading<Value> {
    this.#scope.emit({ event: 'read', from: reading.from, fresh: reading.freshness === 'fresh', doubt: miss })
    return reading
  }
}

/** As a lease would grant it (protocol 6.2): all that it covers is visible on the primary by now (I5). */
function shownByPrimary(view: View | null, keyspace: string): Position | null {
  if (view === null || view.gap !== undefined) return null
  return maxPosition(floorOf(view, keyspace), maxPosition(view.watermark, after(view.newest)))
}

function isBehind(position: Position, demand: Demand | null): boolean {
  return demand !== null && !(satisfies(position, demand.own) && satisfies(position, demand.seen))
}

/** Whether looking again may show a labelled load to be fresh, and there is time to. */
function mayPass(doubt: ReadDoubt, { loadedAt }: Loaded<unknown>, inquiry: Inquiry<unknown>): boolean {
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

/** What the session was handed may be as new as the label's end, or as where the server stood after the load. */
function noteLoaded(session: Session | undefined, { label, standing }: Loaded<unknown>): void {
  const reach = label?.high ?? (standing?.reach ? forSession(standing, standing.reach) : null)
  if (reach) session?.saw(reach, standing?.systemIdentifier ?? null)
}
