import { type Cell, type Demand, decodePayload, type Label } from '@tidemark/guard'
import { type Position, satisfies, TidemarkError } from '@tidemark/protocol'
import type { Session } from '../session/session.ts'
import { type Loaded, LoadFailure } from '../sources/labelled-load.ts'
import { PrimaryLimited } from '../sources/primary-limit.ts'
import { forSession } from '../sources/standing.ts'
import type { Brought } from './flights.ts'
import type { Inquiry } from './inquiry.ts'
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
  /** `redis`, `primary`, or the replica's name. */
  readonly from: string
}

/** A key that could not be shown to be fresh: what is there of it all the same, and why that is of no use. */
export interface Unproven {
  readonly cell: Cell | null
  readonly doubt: ReadDoubt
}

type Arrived<Value> = Brought<Value> & { readonly code: 'loaded' }

const REDIS = 'redis'

/** Turns what was decided into what a reader is handed, and tells the session and the listeners of it. */
export class Answers<Value> {
  readonly #scope: KeyspaceScope

  constructor(scope: KeyspaceScope) {
    this.#scope = scope
  }

  /** A fresh cell. Null when it cannot be decoded, because another serializer wrote it: then it is loaded anew. */
  hit({ session, terms }: Inquiry, cell: Cell, position: Position): Reading<Value> | null {
    const reading = this.#fromCell(session, cell, { freshness: 'fresh', doubt: null, position })
    const regresses = terms.demand !== null && !satisfies(position, terms.demand.seen)
    if (reading && regresses) this.#scope.emit({ event: 'versionRegression' })
    return reading
  }

  /** What is in the cell, as stale, where the contract allows that and the session is not ahead of it. */
  stale(inquiry: Inquiry, { cell, doubt }: Unproven): Reading<Value> | null {
    if (cell === null || !this.mayServe(inquiry, cell)) return null
    return this.#fromCell(inquiry.session, cell, { freshness: 'stale', doubt, position: cell.label.low })
  }

  mayServe({ whenUnprovable, terms }: Inquiry, cell: Cell | null): boolean {
    return cell !== null && whenUnprovable === 'serve-stale' && !isBehind(cell.label.low, terms.demand)
  }

  /** @param miss why the cell could not be used */
  loaded({ session }: Inquiry, { loaded, from }: Arrived<Value>, position: Position | null, miss: ReadDoubt) {
    const { value, label } = loaded
    noteLoaded(session, loaded)
    return this.#ended({ value, freshness: 'fresh', doubt: null, position, label, from } as const, miss)
  }

  /** By contract: what was loaded and is not shown to be fresh. */
  unshown({ session, whenUnprovable }: Inquiry, { loaded, from }: Arrived<Value>, doubt: ReadDoubt): Reading<Value> {
    if (whenUnprovable !== 'serve-stale') throw this.#unprovable(doubt)
    const { value, label } = loaded
    noteLoaded(session, loaded)
    return this.#ended({ value, freshness: 'stale', doubt, position: label?.low ?? null, label, from })
  }

  /** By contract: nothing could be loaded. */
  failed(inquiry: Inquiry, { cell, doubt: found }: Unproven, error: unknown): Reading<Value> {
    if (error instanceof TidemarkError) throw error
    const unproven: Unproven = { cell, doubt: error instanceof PrimaryLimited ? 'primary-limited' : found }
    const stale = this.stale(inquiry, unproven)
    if (stale) return stale
    if (!(error instanceof LoadFailure)) throw this.#unprovable(unproven.doubt, error)
    throw new TidemarkError('LOAD_FAILED', `the load of keyspace ${this.#scope.keyspace.name} failed`, {
      cause: error.cause,
    })
  }

  /** By contract: the time for it is over. */
  outOfTime(inquiry: Inquiry, cell: Cell | null): Reading<Value> {
    const stale = this.stale(inquiry, { cell, doubt: 'out-of-time' })
    if (stale) return stale
    throw this.#unprovable('out-of-time')
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
