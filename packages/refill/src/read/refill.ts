import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodePayload, type LeaseResult, type NewPayload, type Sight, type Terms, type View } from '@tidemark/guard'
import { isTidemarkError, maxPosition, misfitOf, ORIGIN, type Position } from '@tidemark/protocol'
import { withDeadline } from '../deadline.ts'
import { type WideSight, widened } from '../dependencies/dependency-look.ts'
import type { RefillOutcome } from '../events.ts'
import type { Connection } from '../sources/database.ts'
import { type Load, type Loaded, LoadFailure } from '../sources/labelled-load.ts'
import type { FromSource } from '../sources/sources.ts'
import type { Encoded } from '../value/value-codec.ts'
import type { Brought, Flight } from './flights.ts'
import type { Wanted } from './inquiry.ts'
import type { KeyspaceScope } from './keyspace-scope.ts'
import { whileRenewed } from './lease-renewal.ts'

/** Loads the values of several keys, in their order, by one connection. */
export type LoadAll<Value> = (
  db: Connection,
  params: readonly unknown[],
  context: { readonly signal: AbortSignal },
) => Promise<readonly Value[]>

/** The keys that a loaded value depends on, beside its own. */
export type DependenciesOf<Value> = (params: unknown, value: Value) => readonly string[]

/** One key to be refilled. */
export interface Seen {
  readonly wanted: Wanted
  /** What was there and could not be used. */
  readonly sight: WideSight
}

/** And the flight that brings what becomes of it. */
export interface Errand<Value> extends Seen {
  /** Whether another's lease is waited for; not by who has something to serve meanwhile. */
  readonly mayWait: boolean
  readonly flight: Flight<Value>
}

type Granted = LeaseResult & { readonly code: 'granted' }

export interface Leased<E extends Seen = Seen> {
  readonly errand: E
  readonly id: string
  readonly answer: Granted
}

/** Most keys of one load. */
const KEYS_PER_LOAD = 500

/**
 * Refills many keys at once (protocol 6.2–6.4): the leases of all, ONE load for those that were granted, a fill each. The
 * load requires the most that any key requires and is labelled by the most that any lease granted: all that this covers
 * was visible before it was granted, whichever key it was granted for.
 */
export class Refill<Value> {
  readonly #scope: KeyspaceScope
  readonly #loadAll: LoadAll<Value>
  readonly #dependenciesOf: DependenciesOf<Value>

  constructor(scope: KeyspaceScope, loadAll: LoadAll<Value>, dependenciesOf: DependenciesOf<Value>) {
    this.#scope = scope
    this.#loadAll = loadAll
    this.#dependenciesOf = dependenciesOf
  }

  /** Lands every flight, and never rejects. Ends: leases are waited for until leaseWaitMs, loads have loadMs. */
  async underLeases(errands: readonly Errand<Value>[], terms: Terms, signal: AbortSignal): Promise<void> {
    for (const some of inLoads(errands)) await this.#underLeases(some, terms, signal)
  }

  async #underLeases(errands: readonly Errand<Value>[], terms: Terms, signal: AbortSignal): Promise<void> {
    const { leaseWaitMs, pollMs } = this.#scope.host.timings
    const giveUpAt = performance.now() + leaseWaitMs
    let waiting = errands.map((errand) => ({ errand, id: randomBytes(8).toString('hex') }))
    try {
      for (let round = 0; waiting.length > 0; round++) {
        signal.throwIfAborted()
        const asked = await Promise.all(waiting.map(async (one) => ({ ...one, answer: await this.lease(one) })))
        const mayWait = performance.now() < giveUpAt
        await this.#loadLeased(asked.filter(isGranted), terms, signal)
        waiting = asked.filter((one) => this.#isToWait(one, mayWait))
        if (round === 0) for (const _ of waiting) this.#scope.emit({ event: 'leaseWait' })
        if (waiting.length > 0) await sleep(pollMs, undefined, { signal })
      }
    } catch (error) {
      for (const { errand } of waiting) errand.flight.land({ code: 'failed', error, isShared: false })
    }
  }

  /** Without Redis, a view, or leases there is nothing to label by: the primary is asked and nothing is cached. */
  async bare(errands: readonly Errand<Value>[], shown: Position | null, signal: AbortSignal): Promise<void> {
    for (const some of inLoads(errands)) await this.#bare(some, shown, signal)
  }

  async #bare(errands: readonly Errand<Value>[], shown: Position | null, signal: AbortSignal): Promise<void> {
    try {
      const load = this.#boundLoad(errands)
      const got = await loadInTime(
        (within) =>
          this.#scope.host.sources.loadFromPrimary(this.#scope.keyspace.name, load(within), shown, { signal: within }),
        this.#scope.host.timings.loadMs,
        signal,
      )
      for (const [i, { flight, sight }] of errands.entries()) {
        const { view } = sight
        // Under a view that nothing can be judged by, what the primary itself says is more than a label.
        const label = view === null || view.gap !== undefined ? null : got.loaded.label
        const loaded = { ...got.loaded, label, value: got.loaded.value[i]! }
        flight.land({ code: 'loaded', from: got.from, loaded, view, isStored: false })
      }
    } catch (error) {
      for (const { flight } of errands) flight.land({ code: 'failed', error, isShared: errands.length > 1 })
    }
  }

  async lease({ errand, id }: { errand: Seen; id: string }): Promise<LeaseResult | null> {
    const { keyspace, host } = this.#scope
    const { wanted, sight } = errand
    const unusable = sight.cell?.state === 'live' ? sight.cell.label.low : null
    return this.#scope.redis(() => wanted.guard.lease(wanted.key, keyspace.name, id, host.timings.leaseMs, unusable))
  }

  /** Who is not granted the lease, and does not wait for it, is told so. */
  #isToWait({ errand, answer }: { errand: Errand<Value>; answer: LeaseResult | null }, mayWait: boolean) {
    if (answer?.code === 'granted') return false
    if (answer?.code === 'busy' && errand.mayWait && mayWait) return true
    errand.flight.land({ code: 'unleased', why: answer?.code ?? 'redis-away' })
    return false
  }

  async #loadLeased(leased: readonly Leased<Errand<Value>>[], terms: Terms, signal: AbortSignal): Promise<void> {
    if (leased.length === 0) return
    const startedAt = performance.now()
    let got: FromSource<readonly Value[]>
    try {
      const renew = () => Promise.all(leased.map((one) => this.lease(one)))
      got = await whileRenewed(this.#scope.host.timings.leaseMs, renew, () => this.#load(leased, terms, signal))
    } catch (error) {
      await Promise.all(leased.map((one) => this.release(one)))
      for (const { errand } of leased) errand.flight.land({ code: 'failed', error, isShared: leased.length > 1 })
      return
    }
    const costMs = performance.now() - startedAt
    await Promise.all(
      leased.map(async (one, i) => {
        const loaded = { ...got.loaded, value: got.loaded.value[i]! }
        one.errand.flight.land(await this.kept(one, { from: got.from, loaded }, costMs))
      }),
    )
  }

  #load(
    leased: readonly Leased<Errand<Value>>[],
    terms: Terms,
    signal: AbortSignal,
  ): Promise<FromSource<readonly Value[]>> {
    const { sources, timings } = this.#scope.host
    const required = maxPosition(
      ORIGIN,
      ...leased.flatMap(({ answer, errand }) => [answer.required, errand.sight.bounds.required]),
    )
    const granted = maxPosition(
      required,
      ...leased.flatMap(({ answer, errand }) => [answer.granted, errand.sight.bounds.granted]),
    )
    const replicasMayServe = leased.every(({ errand }) => isBeatRecent(errand.sight, terms))
    const load = this.#boundLoad(leased.map((one) => one.errand))
    const need = { required, granted, demand: terms.demand }
    const call = (within: AbortSignal) =>
      sources.load(terms.keyspace, load(within), need, { replicasMayServe, signal: within })
    return loadInTime(call, timings.loadMs, signal)
  }

  #boundLoad(errands: readonly Errand<Value>[]): (signal: AbortSignal) => Load<readonly Value[]> {
    const params = errands.map((errand) => errand.wanted.params)
    return (signal) => (db) => this.#loadAll(db, params, { signal })
  }

  /** Stores what was loaded, if it may be cached. Whatever happens the lease is over then. */
  async kept(one: Leased, { from, loaded }: FromSource<Value>, costMs: number): Promise<Brought<Value>> {
    const { sight, wanted } = one.errand
    try {
      const encoded = await this.#scope.host.values.encode(loaded.value)
      const dependencies = this.#dependenciesOf(wanted.params, loaded.value)
      const stored = this.#offer(one, loaded, encoded, { costMs, dependencies })
      const [outcome, view] = await Promise.all([stored, this.#viewWith(sight, dependencies)])
      this.#scope.emit({ event: 'refill', from, outcome })
      return { code: 'loaded', from, loaded, view, isStored: outcome === 'stored' }
    } catch (error) {
      await this.release(one)
      return { code: 'failed', error, isShared: false }
    }
  }

  /** The same without a lease: for its reader alone. */
  async unkept({ sight, wanted }: Seen, { from, loaded }: FromSource<Value>): Promise<Brought<Value>> {
    const view = await this.#viewWith(sight, this.#dependenciesOf(wanted.params, loaded.value))
    return { code: 'loaded', from, loaded, view, isStored: false }
  }

  /** A part of a load that is of several caches' keys. */
  loadPart(db: Connection, wanted: readonly Wanted[], signal: AbortSignal): Promise<readonly Value[]> {
    return this.#loadAll(
      db,
      wanted.map((one) => one.params),
      { signal },
    )
  }

  /** What the load has just named is asked for after it: known of them then, and covered, is as good as known before. */
  async #viewWith({ dependencies: known, ...sight }: WideSight, dependencies: readonly string[]): Promise<View | null> {
    const learned = dependencies.filter((key) => !known.includes(key))
    if (learned.length === 0) return sight.view
    return (await widened(this.#scope, sight, learned))?.view ?? null
  }

  /** Stores the value if it may be cached, else gives the lease back. */
  async #offer(
    one: Leased,
    { value, label, loadedAt }: Loaded<Value>,
    encoded: Encoded | null,
    known: Pick<NewPayload, 'costMs' | 'dependencies'>,
  ): Promise<RefillOutcome> {
    const { contract, name } = this.#scope.keyspace
    const isNegative = value === undefined || value === null
    const ttlMs = isNegative ? contract.negativeTtlMs : contract.ttlMs
    // Kept for the failure of its next load; that there is no such row is not worth it.
    const keptMs = isNegative ? ttlMs : ttlMs + contract.staleIfErrorMs
    const why = ttlMs === 0 ? 'not-wanted' : this.#unfit(value, encoded)
    if (label === null || why !== null) {
      await this.release(one)
      return label === null || why === null ? 'unlabelled' : why
    }
    const { guard, key } = one.errand.wanted
    const payload = encodePayload({ ...encoded!, ...known, storedAt: Date.now() })
    const filled = await this.#scope.redis(() =>
      guard.fill(key, name, one.id, { label, loadedAt, ttlMs: keptMs, payload }),
    )
    return filled?.code ?? 'redis-away'
  }

  #unfit(value: unknown, encoded: Encoded | null): RefillOutcome | null {
    if (encoded === null) return 'too-large'
    const { projection } = this.#scope.keyspace
    // Cached, it would be of one shape now and of another after the row's next change.
    const misfit = projection ? misfitOf(projection, value) : null
    if (misfit === null) return null
    this.#scope.tellMisfit(misfit)
    return 'misfit'
  }

  async release({ errand, id }: Leased): Promise<void> {
    const { guard, key } = errand.wanted
    await this.#scope.redis(() => guard.release(key, id))
  }
}

/** What is to be loaded, as much as goes into one load at a time. */
function inLoads<T>(all: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(all.length / KEYS_PER_LOAD) }, (_, i) =>
    all.slice(i * KEYS_PER_LOAD, (i + 1) * KEYS_PER_LOAD),
  )
}

function isGranted<T extends { answer: LeaseResult | null }>(asked: T): asked is T & { answer: Granted } {
  return asked.answer?.code === 'granted'
}

/** What a replica shows is known to have been current at the view's beat, not at the time of the load. */
export function isBeatRecent({ view }: Sight, { clockSkewMs, contract }: Terms): boolean {
  return view !== null && Date.now() - view.beat + clockSkewMs <= contract.maxStalenessMs
}

/** A load that hangs is a load that failed. */
export async function loadInTime<T>(
  call: (signal: AbortSignal) => Promise<T>,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  try {
    return await withDeadline(call, { ms, signal, who: 'a load' })
  } catch (cause) {
    if (isTidemarkError(cause, 'DEADLINE_EXCEEDED')) throw new LoadFailure('load took too long', { cause })
    throw cause
  }
}
