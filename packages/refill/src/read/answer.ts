import { type Cell, type Demand, decodePayload, type Label } from '@tidemark/guard'
import { type Position, satisfies, TidemarkError } from '@tidemark/protocol'
import type { Session } from '../session/session.ts'
import { type Loaded, LoadFailure } from '../sources/labelled-load.ts'
import { PrimaryLimited } from '../sources/primary-limit.ts'
import { forSession } from '../sources/standing.ts'
import type { Brought } from './flights.ts'
import type { Inquiry, Wanted } from './inquiry.ts'
import type { ReadDoubt } from './judge-loaded.ts'
import type { KeyspaceScope } from './keyspace-scope.ts'

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
  /** `memory`, `redis`, `primary`, the replica's name, or `route:` and the route's. */
  readonly from: string
}

/** A key that could not be shown to be fresh: what is there of it all the same, and why that is of no use. */
export interface Unproven {
  readonly wanted: Wanted
  readonly cell: Cell | null
  readonly doubt: ReadDoubt
}

type Arrived<Value> = Brought<Value> & { readonly code: 'loaded' }

const REDIS = 'redis'
const MEMORY = 'memory'

/** Turns what was decided into what a reader is handed, and tells the session and the listeners of it. */
export class Answers<Value> {
  readonly #scope: KeyspaceScope

  constructor(scope: KeyspaceScope) {
    this.#scope = scope
  }

  /** What this process holds itself. Null when that is nothing, or not good enough: Redis is asked then. */
  held({ session, terms, isBypass, takesAny }: Inquiry, key: string): Reading<Value> | null {
    const { memory, host } = this.#scope
    const answer = isBypass ? null : memory?.answer(key, terms, Date.now())
    if (!answer || !(answer.verdict.fresh || takesAny)) return null
    const { verdict, copy } = answer
    const { label, content } = copy
    const value = (content.shared ? content.value : host.values.decode(content.payload)) as Value
    session?.saw(label.high, null)
    const known = verdict.fresh
      ? ({ freshness: 'fresh', doubt: null, position: verdict.position } as const)
      : ({ freshness: 'stale', doubt: verdict.doubt, position: label.low } as const)
    return this.#ended({ value, ...known, label, from: MEMORY })
  }

  /** A fresh cell. Null when it cannot be decoded, because another serializer wrote it: then it is loaded anew. */
  hit({ session, terms }: Inquiry, cell: Cell, position: Position): Reading<Value> | null {
    const reading = this.#fromCell(session, cell, { freshness: 'fresh', doubt: null, position })
    const regresses = terms.demand !== null && !satisfies(position, terms.demand.seen)
    if (reading && regresses) this.#scope.emit({ event: 'versionRegression' })
    return reading
  }

  /** What is in the cell, as stale, where the contract allows that and the session is not ahead of it. */
  stale(inquiry: Inquiry, unproven: Unproven): Reading<Value> | null {
    return this.mayServe(inquiry, unproven) ? this.#fromCellAsStale(inquiry, unproven) : null
  }

  /** What is past its time is there for the failure of its load alone; unless the call takes any. */
  mayServe({ whenUnprovable, takesAny, terms }: Inquiry, { cell, doubt }: Unproven): boolean {
    if (cell === null || takesAny) return cell !== null
    return whenUnprovable === 'serve-stale' && doubt !== 'expired' && !isBehind(cell.label.low, terms.demand)
  }

  /** @param miss why the cell could not be used */
  loaded({ session }: Inquiry, { loaded, from }: Arrived<Value>, position: Position | null, miss: ReadDoubt) {
    const { value, label } = loaded
    noteLoaded(session, loaded)
    return this.#ended({ value, freshness: 'fresh', doubt: null, position, label, from } as const, miss)
  }

  /** By contract: what was loaded and is not shown to be fresh. */
  async unshown(inquiry: Inquiry, unproven: Unproven, { loaded, from }: Arrived<Value>): Promise<Reading<Value>> {
    const { doubt } = unproven
    if (inquiry.whenUnprovable !== 'serve-stale') return this.#routed(inquiry, unproven, this.#unprovable(doubt))
    const { value, label } = loaded
    noteLoaded(inquiry.session, loaded)
    return this.#ended({ value, freshness: 'stale', doubt, position: label?.low ?? null, label, from })
  }

  /** By contract: nothing could be loaded. */
  async failed(inquiry: Inquiry, { wanted, cell, doubt: found }: Unproven, error: unknown): Promise<Reading<Value>> {
    if (error instanceof TidemarkError) throw error
    const unproven: Unproven = { wanted, cell, doubt: error instanceof PrimaryLimited ? 'primary-limited' : found }
    const failure = error instanceof LoadFailure ? this.#loadFailed(error) : this.#unprovable(unproven.doubt, error)
    return this.#spare(inquiry, unproven) ?? this.#routed(inquiry, unproven, failure)
  }

  /** By contract: the time for it is over. */
  async outOfTime(inquiry: Inquiry, { wanted, cell }: Omit<Unproven, 'doubt'>): Promise<Reading<Value>> {
    const unproven = { wanted, cell, doubt: 'out-of-time' } as const
    const failure = this.#unprovable('out-of-time')
    return this.#spare(inquiry, unproven) ?? this.#routed(inquiry, unproven, failure)
  }

  /** What is kept for the failure of its load, whatever the contract says else. */
  #spare(inquiry: Inquiry, unproven: Unproven): Reading<Value> | null {
    const { cell } = unproven
    if (cell === null || isBehind(cell.label.low, inquiry.terms.demand) || !this.mayStandIn(inquiry)) return null
    return this.#fromCellAsStale(inquiry, unproven)
  }

  /** Whether what is there may be served for a load that failed, to whoever is not ahead of it. */
  mayStandIn({ whenUnprovable, isBypass }: Inquiry): boolean {
    const isKeptForIt = this.#scope.keyspace.contract.staleIfErrorMs > 0 && !isBypass
    return whenUnprovable === 'serve-stale' || (isKeptForIt && whenUnprovable !== 'route')
  }

  /** What is of the instant that a stale snapshot is of. Null when it cannot be decoded. */
  aged({ session }: Inquiry, cell: Cell, doubt: ReadDoubt, position: Position): Reading<Value> | null {
    return this.#fromCell(session, cell, { freshness: 'stale', doubt, position })
  }

  /** Asks another region where the contract says so; else throws the failure. */
  async #routed(inquiry: Inquiry, unproven: Unproven, failure: TidemarkError): Promise<Reading<Value>> {
    const { route } = this.#scope.host
    if (inquiry.whenUnprovable !== 'route' || route === null) throw failure
    try {
      const { value, freshness } = await route.ask(this.#scope, inquiry, unproven.wanted)
      const doubt = freshness === 'fresh' ? null : unproven.doubt
      const reading = { value: value as Value, freshness, doubt, position: null, label: null, from: route.from }
      return this.#ended(reading, unproven.doubt)
    } catch (error) {
      inquiry.budget.signal?.throwIfAborted()
      const kept = this.#spare({ ...inquiry, whenUnprovable: 'fail' }, unproven)
      if (kept !== null) return kept
      throw this.#unprovable(unproven.doubt, error)
    }
  }

  #fromCellAsStale({ session }: Inquiry, { cell, doubt }: Unproven): Reading<Value> | null {
    return this.#fromCell(session, cell!, { freshness: 'stale', doubt, position: cell!.label.low })
  }

  #fromCell(
    session: Session | undefined,
    { label, payload }: Cell,
    known: Pick<Reading<Value>, 'freshness' | 'doubt' | 'position'>,
  ): Reading<Value> | null {
    let value: Value
    try {
      value = this.#scope.host.values.decode(decodePayload(payload)) as Value
    } catch (error) {
      this.#scope.emit({ event: 'redisFailed', error })
      return null
    }
    // A stale value, too, may show what no other source shows yet.
    session?.saw(label.high, null)
    return this.#ended({ value, ...known, label, from: REDIS })
  }

  #loadFailed({ cause }: LoadFailure): TidemarkError {
    return new TidemarkError('LOAD_FAILED', `the load of keyspace ${this.#scope.keyspace.name} failed`, { cause })
  }

  #unprovable(doubt: ReadDoubt, cause?: unknown): TidemarkError {
    const what = `no value of keyspace ${this.#scope.keyspace.name} can be shown to be fresh (${doubt})`
    return new TidemarkError('UNPROVABLE', what, {
      mend: "Try again, or let the contract say whenUnprovable: 'serve-stale'",
      cause,
    })
  }

  #ended(reading: Reading<Value>, miss: Reading<Value>['doubt'] = reading.doubt): Reading<Value> {
    this.#scope.emit({ event: 'read', from: reading.from, fresh: reading.freshness === 'fresh', doubt: miss })
    return reading
  }
}

function isBehind(position: Position, demand: Demand | null): boolean {
  return demand !== null && !(satisfies(position, demand.own) && satisfies(position, demand.seen))
}

/** What the session was handed may be as new as the label's end, or as where the server stood after the load. */
function noteLoaded(session: Session | undefined, { label, standing }: Loaded<unknown>): void {
  const reach = label?.high ?? (standing?.reach ? forSession(standing, standing.reach) : null)
  if (reach) session?.saw(reach, standing?.systemIdentifier ?? null)
}
