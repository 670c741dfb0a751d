import { Guard, partitionKeys } from '@tidemark/guard'
import { keyspaceOf, type ParamsOf, partitionOf, TidemarkError } from '@tidemark/protocol'
import { inTime } from './deadline.ts'
import type { DependencyOf } from './dependencies/dependency.ts'
import { emit } from './events.ts'
import { Memory } from './memory/memory.ts'
import { checkedOptions, type TidemarkOptions } from './options.ts'
import { AnnouncedEpoch } from './read/announced-epoch.ts'
import { Cache, type CacheOptions } from './read/cache.ts'
import { Calls } from './read/calls.ts'
import type { CacheHost } from './read/keyspace-scope.ts'
import { type CircuitEvent, redisCircuits } from './read/redis-circuit.ts'
import { Refreshes } from './read/refreshes.ts'
import { Router } from './read/route.ts'
import { EpochHistory } from './session/epoch-history.ts'
import { Session, type SessionHost } from './session/session.ts'
import { decodeToken, encodeToken, type TokenContent, type TokenSeal, tokenInvalid } from './session/token.ts'
import type { Reference } from './snapshot/reference.ts'
import { type Snapshot, type SnapshotOptions, Snapshots } from './snapshot/snapshot.ts'
import { Sources } from './sources/sources.ts'
import { standingStatement } from './sources/standing.ts'
import { ValueCodec } from './value/value-codec.ts'

/** The app's side of one source in one region. */
export class Tidemark<Keys extends Readonly<Record<string, string>> = Readonly<Record<string, string>>>
  implements AsyncDisposable
{
  readonly #host: CacheHost
  readonly #snapshots: Snapshots
  readonly #sessionHost: SessionHost
  readonly #seal: TokenSeal
  readonly #hasSerializer: boolean

  /** Throws CONFIG_INVALID. */
  constructor(options: TidemarkOptions<Keys>) {
    const { source, redis, primary } = options
    const { region, timings, primaryLimit, ...checked } = checkedOptions(options)
    this.#hasSerializer = checked.serializer !== undefined
    const statement = standingStatement(source.name)
    const replicas = checked.replicas.map((r, i) => ('pool' in r ? r : { name: `replica-${i + 1}`, pool: r }))
    const tell = (event: CircuitEvent) => emit({ source: source.name, region, ...event })
    const circuits = redisCircuits(redis, source.partitions, timings, tell)
    const guards = circuits.map((circuit, p) => new Guard(circuit, partitionKeys(source.keyPrefix, p)))
    this.#host = {
      source,
      region,
      timings,
      sources: new Sources({ source: source.name, region, primary, replicas, statement, timings, primaryLimit }),
      values: new ValueCodec(checked),
      announced: new AnnouncedEpoch(),
      memory: options.memory ? Memory.open({ source, region }, options.memory) : null,
      route: checked.route ? new Router(checked.route, timings.routeMs) : null,
      refreshes: new Refreshes(checked.maxRefreshes),
      calls: new Calls(),
      guardOf: (key) => guards[partitionOf(key, source.partitions)]!,
    }
    this.#snapshots = new Snapshots(this.#host)
    const history = new EpochHistory(primary, statement)
    this.#sessionHost = {
      primary,
      standingStatement: statement,
      newestEpoch: (atLeast) => history.newest(atLeast),
      signToken: (content) => encodeToken(content, this.#seal, Date.now()),
      readToken: (token) => this.#read(token),
      onUncarried: () => emit({ source: source.name, region, event: 'sessionUncarried' }),
    }
    this.#seal = { source: source.name, keys: checked.tokenKeys, maxAgeMs: checked.tokenMaxAgeMs }
  }

  /** The reads of a keyspace. Throws KEYSPACE_UNKNOWN; CONFIG_INVALID for one that is updated in place, with a serializer. */
  cache<Name extends keyof Keys & string, Value>(
    name: Name,
    options: CacheOptions<ParamsOf<Keys[Name]>, Value, DependencyOf<Keys>>,
  ): Cache<ParamsOf<Keys[Name]>, Value> {
    const keyspace = keyspaceOf(this.#host.source, name)
    if (keyspace.projection && this.#hasSerializer) throw projectionIsJson(name)
    return new Cache<ParamsOf<Keys[Name]>, Value>(this.#host, keyspace, options)
  }

  /**
   * Values that were all true at one instant, across keys and keyspaces. What in Redis can be shown to be is served; the
   * rest is loaded in one transaction. Throws as a read does, and rather than serve values of two instants.
   */
  snapshot<const References extends readonly Reference<unknown>[]>(
    references: References,
    options: SnapshotOptions = {},
  ): Promise<Snapshot<References>> {
    return this.#snapshots.read(references, options)
  }

  /** A new session, or the one that a token carries. Throws TOKEN_INVALID. */
  session(token?: string): Session {
    return new Session(this.#sessionHost, token === undefined ? null : this.#read(token))
  }

  /**
   * Takes no more reads, which throw CLOSED from now on; waits for those under way and for what is loaded behind readers,
   * no longer than `readMs`; and gives up what is held in memory. Never rejects. Pools and clients are the app's own: close
   * them after it.
   */
  async close(): Promise<void> {
    const { calls, refreshes, memory, timings } = this.#host
    const ended = calls.close().then(() => refreshes.ended())
    await inTime(ended, timings.readMs, 'what is under way').catch(() => undefined)
    await memory?.[Symbol.asyncDispose]()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** How long a token is believed after it was given, in ms. */
  get tokenMaxAgeMs(): number {
    return this.#seal.maxAgeMs
  }

  #read(token: string): TokenContent {
    const read = decodeToken(token, this.#seal, Date.now())
    if (typeof read !== 'string') return read
    emit({ source: this.#seal.source, region: this.#host.region, event: 'tokenRefused', flaw: read })
    throw tokenInvalid(read)
  }
}

/** Opens the app's side of a source. Nothing is connected to: pools and client are the app's own. */
export async function openTidemark<Keys extends Readonly<Record<string, string>>>(
  options: TidemarkOptions<Keys>,
): Promise<Tidemark<Keys>> {
  return new Tidemark(options)
}

/** A worker that writes a row's projection knows no serializer of the app's. */
function projectionIsJson(keyspace: string): TidemarkError {
  return new TidemarkError('CONFIG_INVALID', `keyspace ${keyspace} is updated in place with JSON`, {
    mend: "Open Tidemark without a serializer, or let the contract say reaction: 'invalidate'",
  })
}
