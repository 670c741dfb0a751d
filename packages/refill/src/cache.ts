import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Cell,
  type Doubt,
  type FillResult,
  type Guard,
  judge,
  type Label,
  type LeaseResult,
  type Sight,
  type Terms,
} from '@tidemark/guard'
import {
  isTidemarkError,
  type Keyspace,
  type KeyValue,
  keyFor,
  ORIGIN,
  type Position,
  type Source,
  satisfies,
  TidemarkError,
} from '@tidemark/protocol'
import type { AnnouncedEpoch } from './announced-epoch.ts'
import type { Connection } from './database.ts'
import { inTime } from './deadline.ts'
import { emit, type RefillOutcome } from './events.ts'
import { judgeLoaded, type ReadDoubt } from './judge-loaded.ts'
import { type Loaded, LoadFailure } from './labelled-load.ts'
import type { Serializer } from './serializer.ts'
import type { Session } from './session.ts'
import type { FromSource, Sources } from './sources.ts'
import { forSession } from './standing.ts'
import type { Timings } from './timings.ts'

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

/** What a cache uses of the Tidemark that it belongs to. */
export interface CacheHost {
  readonly source: Source
  readonly region: string
  readonly sources: Sources
  readonly timings: Timings
  readonly serializer: Serializer
  readonly maxValueBytes: number
  readonly announced: AnnouncedEpoch
  guardOf(key: string): Guard
}

const REDIS = 'redis'

/** What one read is about; made once, so that its steps need not pass six things along. */
interface Inquiry<Value> {
  readonly key: string
  readonly guard: Guard
  readonly terms: Terms
  readonly session: Session | undefined
  readonly load: (db: Connection) => Promise<Value>
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
  readonly #options: CacheOptions<Params, Value>

  constructor(host: CacheHost, keyspace: Keyspace, options: CacheOptions<Params, Value>) {
    this.#host = host
    this.#keyspace = keyspace
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
      this.#emit({ event: 'readFailed', code: isTidemarkError(error) ? error.code : null })
      throw error
    }
  }

  async #step(inquiry: Inquiry<Value>): Promise<Step<Value>> {
    const sight = await this.#look(inquiry)
    if (sight === null) return this.#loadUncached(inquiry, null, 'redis-away')
    if (sight.view !== null) this.#host.announced.met(sight.view)
    const verdict = judge(sight.view, sight.cell, inquiry.terms, Date.now())
    if (verdict.fresh)
      return this.#serve(inquiry, sight.cell!, verdict.position) ?? this.#refill(inquiry, sight, 'absent')
    if (verdict.doubt === 'behind-session' && performance.now() < inquiry.watermarkDeadline) return 'again'
    return this.#refill(inquiry, sight, verdict.doubt)
  }

  /** A cell that cannot be read is as good as none: whoever has the lease writes it anew. */
  async #look({ guard, key }: Inquiry<Value>): Promise<Sight | null> {
    return this.#redis(async () => {
      try {
        return await guard.look(key)
      } catch (error) {
        if (!isTidemarkError(error, 'CELL_MALFORMED')) throw error
        this.#emit({ event: 'redisFailed', error })
        return { view: await guard.view(), cell: null }
      }
    })
  }

  async #refill(inquiry: Inquiry<Value>, sight: Sight, doubt: Doubt): Promise<Step<Value>> {
    const { guard, key } = inquiry
    const id = randomBytes(8).toString('hex')
    const unusable = sight.cell?.state === 'live' ? sight.cell.label.low : null
    const lease = await this.#redis(() =>
      guard.lease(key, this.#keyspace.name, id, this.#host.timings.leaseMs, unusable),
    )
    if (lease?.code === 'granted') return this.#loadUnderLease(inquiry, sight, doubt, id, lease)
    if (lease?.code === 'changed' && performance.now() < inquiry.leaseDeadline) return 'again'
    if (lease?.code === 'busy') {
      const stale = inquiry.terms.demand === null ? this.#retained(inquiry, sight.cell, doubt) : null
      if (stale) return stale
      this.#emit({ event: 'leaseWait' })
      if (performance.now() < inquiry.leaseDeadline) return 'again'
    }
    return this.#loadUncached(inquiry, sight, lease === null ? 'redis-away' : doubt)
  }

  async #loadUnderLease(
    inquiry: Inquiry<Value>,
    sight: Sight,
    doubt: Doubt,
    id: string,
    lease: LeaseResult & { code: 'granted' },
  ): Promise<Step<Value>> {
    const { guard, key, terms, load } = inquiry
    const { view } = sight
    // What a replica shows is known to have been current at the view's beat, not at the time of the load.
    const beatIsRecent = view !== null && Date.now() - view.beat + terms.clockSkewMs <= terms.contract.maxStalenessMs
    let got: FromSource<Value>
    let payload: Buffer
    try {
      const need = { required: lease.required, granted: lease.granted, demand: terms.demand }
      got = await this.#host.sources.load(terms.keyspace, load, need, beatIsRecent)
      payload = this.#host.serializer.encode(got.loaded.value)
    } catch (error) {
      await this.#redis(() => guard.release(key, id))
      return this.#failed(inquiry, error, sight.cell, doubt)
    }
    const outcome = await this.#offer(inquiry, id, got.loaded, payload)
    this.#emit({ event: 'refill', from: got.from, outcome })
    const step = this.#judged(inquiry, sight, got, doubt)
    if (step === 'again' && outcome !== 'stored') await this.#seenIsCovered(inquiry)
    return step
  }

  /** Until the watermark has reached what the session saw, or the wait is over: a look costs less than a load. */
  async #seenIsCovered({ guard, terms, watermarkDeadline }: Inquiry<Value>): Promise<void> {
    while (performance.now() < watermarkDeadline) {
      const view = await this.#redis(() => guard.view())
      if (view === null || satisfies(view.watermark, terms.demand?.seen ?? ORIGIN)) return
      await sleep(this.#host.timings.pollMs)
    }
  }

  /** Stores the value if it may be cached, else gives the lease back. */
  async #offer(inquiry: Inquiry<Value>, id: string, loaded: Loaded<Value>, payload: Buffer): Promise<RefillOutcome> {
    const { guard, key, terms } = inquiry
    const { contract } = this.#keyspace
    const ttlMs = loaded.value === undefined || loaded.value === null ? contract.negativeTtlMs : contract.ttlMs
    const tooLarge = payload.length > this.#host.maxValueBytes
    const { label, loadedAt } = loaded
    if (label === null || ttlMs === 0 || tooLarge) {
      await this.#redis(() => guard.release(key, id))
      return label === null ? 'unlabelled' : tooLarge ? 'too-large' : 'not-wanted'
    }
    const filled: FillResult | null = await this.#redis(() =>
      guard.fill(key, terms.keyspace, id, { label, loadedAt, ttlMs, payload }),
    )
    return filled?.code ?? 'redis-away'
  }

  /** Without Redis, a view, or the lease there is nothing to label by: the primary is asked and nothing is cached. */
  async #loadUncached(inquiry: Inquiry<Value>, sight: Sight | null, doubt: ReadDoubt): Promise<Step<Value>> {
    let got: FromSource<Value>
    try {
      got = await this.#host.sources.loadFromPrimary(inquiry.load, null)
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
    if (reading && demand && !satisfies(position, demand.seen)) this.#emit({ event: 'versionRegression' })
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
      value = this.#host.serializer.decode(payload) as Value
    } catch {
      // Without the cause: what JSON.parse throws quotes the value.
      const what = `a value of keyspace ${this.#keyspace.name} cannot be decoded`
      this.#emit({ event: 'redisFailed', error: new TidemarkError('CELL_MALFORMED', what) })
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
    this.#emit({ event: 'read', from: reading.from, fresh: reading.freshness === 'fresh', doubt: miss })
    return reading
  }

  /** Redis is bounded in time and may be away: null then, and the read goes on without it. */
  async #redis<T>(command: () => Promise<T>): Promise<T | null> {
    try {
      return await inTime(command(), this.#host.timings.redisTimeoutMs, 'Redis')
    } catch (error) {
      this.#emit({ event: 'redisFailed', error })
      return null
    }
  }

  #emit(event: EventOfCache): void {
    const { source, region } = this.#host
    emit({ source: source.name, region, keyspace: this.#keyspace.name, ...event })
  }
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

type WithoutCommon<E> = E extends unknown ? Omit<E, 'source' | 'region' | 'keyspace'> : never
type EventOfCache = WithoutCommon<Parameters<typeof emit>[0]>
