import { isTidemarkError, type Keyspace, type KeyValue, keyFor, type Source, TidemarkError } from '@tidemark/protocol'
import { checkMayDepend, type Dependency, keysOf } from '../dependencies/dependency.ts'
import { Reference } from '../snapshot/reference.ts'
import type { Connection } from '../sources/database.ts'
import type { Reading } from './answer.ts'
import { inquire, type ReadOptions, type Wanted } from './inquiry.ts'
import { type CacheHost, KeyspaceScope } from './keyspace-scope.ts'
import { type DependenciesOf, type LoadAll, Refill } from './refill.ts'
import { Rounds } from './rounds.ts'

/** Most keys of one call. */
const MAX_KEYS = 10_000

/** What a load is told beside its parameters. */
export interface LoadContext {
  /** Aborted when nobody waits for the load any more, or its time is over. */
  readonly signal: AbortSignal
}

// Methods, not properties: an app may ask for more of its connections than this package does (`db: pg.PoolClient`).
export interface CacheOptions<Params, Value, Depends = Dependency> {
  /** Reads the value by the connection it is given, and by nothing else: the label is that connection's. */
  load(db: Connection, params: Params, context: LoadContext): Promise<Value>
  /** Reads the values of several keys at once, in their order. Without it `load` is called for one after the other. */
  loadMany?(db: Connection, params: readonly Params[], context: LoadContext): Promise<readonly Value[]>
  /** What the value is made of beside its own row: keys of other keyspaces, and tags. A change of any makes it stale. */
  dependsOn?(params: Params, value: Value): readonly Depends[]
}

/**
 * The reads of one keyspace. A hit is one MGET of view and cell, and a pure decision. A miss takes the lease, loads
 * with a label, and stores by compare-and-set. Loading first and asking afterwards whether the value may be stored
 * could not label a load from the primary: only what the lease granted beforehand is known to have been visible.
 *
 * Every read throws KEY_PARAMS_INVALID; LOAD_FAILED when `load` threw on the primary, or took too long; UNPROVABLE when
 * nothing could be shown to be fresh and the contract says `fail`; VALUE_UNCACHEABLE when the serializer refuses the
 * value; CLOSED after the end; and the reason of its signal.
 */
export class Cache<Params extends Readonly<Record<string, KeyValue>>, Value> {
  readonly #host: CacheHost
  readonly #keyspace: Keyspace
  readonly #scope: KeyspaceScope
  readonly #rounds: Rounds<Value>
  readonly #refill: Refill<Value>

  constructor(host: CacheHost, keyspace: Keyspace, options: CacheOptions<Params, Value>) {
    checkOptions(keyspace, options)
    if (options.dependsOn) checkMayDepend(keyspace)
    this.#host = host
    this.#keyspace = keyspace
    this.#scope = new KeyspaceScope(host, keyspace)
    const [loadAll, depends] = [loaderOf(keyspace, options), dependenciesOf(host.source, options)]
    this.#rounds = new Rounds(this.#scope, loadAll, depends)
    this.#refill = new Refill(this.#scope, loadAll, depends)
  }

  /** The value alone. A contract of `serve-stale` may make it stale. */
  async get(params: Params, options: ReadOptions = {}): Promise<Value> {
    return (await this.read(params, options)).value
  }

  /** The value and how much is known of it. */
  async read(params: Params, options: ReadOptions = {}): Promise<Reading<Value>> {
    const wanted = this.#wanted(params)
    return (await this.#read([wanted], options)).get(wanted.key)!
  }

  /** The values alone, in the order of their parameters. */
  async getMany(params: readonly Params[], options: ReadOptions = {}): Promise<Value[]> {
    return (await this.readMany(params, options)).map((reading) => reading.value)
  }

  /**
   * The values and how much is known of each, in the order of their parameters, with one round trip to each node of Redis
   * and one load of what is not there. Each is fresh, not all of one instant. At most 10,000 keys; one that is named
   * twice is read once. Throws one error when any key cannot be read: that of the first which fails.
   */
  async readMany(params: readonly Params[], options: ReadOptions = {}): Promise<Reading<Value>[]> {
    if (params.length > MAX_KEYS) throw tooManyKeys(this.#keyspace.name, params.length)
    const wanted = params.map((one) => this.#wanted(one))
    const distinct = new Map(wanted.map((one) => [one.key, one]))
    const readings = await this.#read([...distinct.values()], options)
    return wanted.map((one) => readings.get(one.key)!)
  }

  /** One value, for {@link Tidemark.snapshot}. */
  at(params: Params): Reference<Value> {
    return new Reference(this.#scope, this.#refill, this.#wanted(params))
  }

  async #read(wanted: readonly Wanted[], options: ReadOptions): Promise<Map<string, Reading<Value>>> {
    try {
      return await this.#host.calls.run(async () => this.#rounds.read(await inquire(this.#scope, options), wanted))
    } catch (error) {
      this.#scope.emit({ event: 'readFailed', code: isTidemarkError(error) ? error.code : null })
      throw error
    }
  }

  #wanted(params: Params): Wanted {
    const key = keyFor(this.#keyspace.template, params)
    return { key, params, guard: this.#host.guardOf(key) }
  }
}

function checkOptions({ name }: Keyspace, { load, loadMany, dependsOn }: CacheOptions<never, unknown>): void {
  const isLoad = typeof load === 'function'
  const mistaken = Object.entries({ loadMany, dependsOn }).filter(([, one]) => one && typeof one !== 'function')
  if (isLoad && mistaken.length === 0) return
  const what = [...(isLoad ? [] : ['load']), ...mistaken.map(([option]) => option)].join(', ')
  throw new TidemarkError('CONFIG_INVALID', `of the cache of keyspace ${name} must be a function: ${what}`)
}

function loaderOf<Params, Value>(keyspace: Keyspace, options: CacheOptions<Params, Value>): LoadAll<Value> {
  return async (db, wanted, context) => {
    const params = wanted as readonly Params[] // for by nothing but a read's parameters is anything wanted
    if (params.length === 1) return [await options.load(db, params[0]!, context)]
    if (options.loadMany) return inOrder(keyspace, params.length, await options.loadMany(db, params, context))
    const values: Value[] = []
    for (const one of params) values.push(await options.load(db, one, context))
    return values
  }
}

function dependenciesOf<Params, Value>(source: Source, options: CacheOptions<Params, Value>): DependenciesOf<Value> {
  return (params, value) => keysOf(source, options.dependsOn?.(params as Params, value) ?? [])
}

/** Values of other rows than were asked for would be cached under the wrong keys. */
function inOrder<Value>(keyspace: Keyspace, length: number, values: readonly Value[]): readonly Value[] {
  if (values.length === length) return values
  throw new RangeError(`loadMany of keyspace ${keyspace.name} was asked for ${length} values and gave ${values.length}`)
}

function tooManyKeys(keyspace: string, count: number): TidemarkError {
  return new TidemarkError('KEY_PARAMS_INVALID', `${count} keys of keyspace ${keyspace} were asked for in one call`, {
    mend: `Ask for at most ${MAX_KEYS} at a time`,
  })
}
