import { Guard, partitionKeys, type RedisClient } from '@tidemark/guard'
import { keyspaceOf, type ParamsOf, partitionOf, type Source, TidemarkError } from '@tidemark/protocol'
import type { DependencyOf } from './dependencies/dependency.ts'
import { emit } from './events.ts'
import { Memory, type MemoryOptions, memoryMistakes } from './memory/memory.ts'
import { AnnouncedEpoch } from './read/announced-epoch.ts'
import { Cache, type CacheOptions } from './read/cache.ts'
import type { CacheHost } from './read/keyspace-scope.ts'
import { type CircuitEvent, redisCircuits } from './read/redis-circuit.ts'
import { Refreshes } from './read/refreshes.ts'
import { type Route, Router } from './read/route.ts'
import { EpochHistory } from './session/epoch-history.ts'
import { Session, type SessionHost } from './session/session.ts'
import {
  decodeToken,
  encodeToken,
  type TokenContent,
  type TokenKey,
  type TokenSeal,
  tokenInvalid,
} from './session/token.ts'
import type { Reference } from './snapshot/reference.ts'
import { type Snapshot, type SnapshotOptions, Snapshots } from './snapshot/snapshot.ts'
import type { ConnectionPool } from './sources/database.ts'
import { DEFAULT_PRIMARY_LIMIT, type PrimaryLimitOptions, primaryLimitMistakes } from './sources/primary-limit.ts'
import { Sources } from './sources/sources.ts'
import { standingStatement } from './sources/standing.ts'
import type { Replica } from './sources/watched-replica.ts'
import { DEFAULT_TIMINGS, type Timings } from './timings.ts'
import { type Compression, compressionMistakes } from './value/compression.ts'
import { type Serializer, serializerMistakes } from './value/serializer.ts'
import { ValueCodec } from './value/value-codec.ts'

export interface TidemarkOptions<Keys extends Readonly<Record<string, string>>> {
  readonly source: Source<Keys>
  /** The region's Redis: an ioredis `Redis` or `Cluster`. Turn its offline queue off, or it hides an outage. */
  readonly redis: RedisClient
  readonly primary: ConnectionPool
  /** Asked before the primary, by position and latency. A bare pool is named `replica-1`, `replica-2`, … in events. */
  readonly replicas?: readonly (ConnectionPool | Replica)[]
  /** How many loads this process may send to the primary. */
  readonly primaryLimit?: Partial<PrimaryLimitOptions>
  /** Names the region in events. */
  readonly region?: string
  /** Sign session tokens; the first signs, all verify. Without them sessions live in this process only. */
  readonly tokenKeys?: readonly TokenKey[]
  /** Longest age of a token, in ms. */
  readonly tokenMaxAgeMs?: number
  /** In place of JSON, which gives bigint, Date, Buffer, Map and Set back, too, and refuses what it cannot. */
  readonly serializer?: Serializer
  /** Whether values are compressed. What is compressed is read all the same without it. */
  readonly compression?: Compression
  /** A value that is larger before it is compressed is handed to the caller and not cached. */
  readonly maxValueBytes?: number
  /** How many values may be loaded behind readers at a time, each on a connection of its own; see reaction `refresh`. */
  readonly maxRefreshes?: number
  /** The way to another region, for keyspaces whose contract says `whenUnprovable: 'route'`. */
  readonly route?: Route
  /** Holds values in this process, too, in front of Redis. {@link Tidemark} is to be closed then. */
  readonly memory?: MemoryOptions
  readonly timings?: Partial<Timings>
}

const MIN_SECRET_BYTES = 32
const DEFAULT_TOKEN_MAX_AGE_MS = 86_400_000
const DEFAULT_MAX_VALUE_BYTES = 1_048_576
/** Fewer than the ten connections that a pool of `pg` has by default: readers who wait come first. */
const DEFAULT_MAX_REFRESHES = 4

/** The app's side of one source in one region. */
export class Tidemark<Keys extends Readonly<Record<string, string>> = Readonly<Record<string, string>>>
  implements AsyncDisposable
{
  readonly #host: CacheHost
  readonly #snapshots: Snapshots
  readonly #sessionHost: SessionHost
  readonly #seal: TokenSeal
  readonly #hasSerializer: boolean

  constructor(options: TidemarkOptions<Keys>) {
    checkTokenKeys(options.tokenKeys ?? [])
    this.#hasSerializer = options.serializer !== undefined
    const { source, redis, primary } = options
    const region = options.region ?? 'local'
    const timings = { ...DEFAULT_TIMINGS, ...options.timings }
    const primaryLimit = { ...DEFAULT_PRIMARY_LIMIT, ...options.primaryLimit }
    checkPrimaryLimit(primaryLimit)
    checkMemory(options.memory)
    const statement = standingStatement(source.name)
    const replicas = (options.replicas ?? []).map((r, i) => ('pool' in r ? r : { name: `replica-${i + 1}`, pool: r }))
    const tell = (event: CircuitEvent) => emit({ source: source.name, region, ...event })
    const circuits = redisCircuits(redis, source.partitions, timings, tell)
    const guards = circuits.map((circuit, p) => new Guard(circuit, partitionKeys(source.keyPrefix, p)))
    this.#host = {
      source,
      region,
      timings,
      sources: new Sources({ source: source.name, region, primary, replicas, statement, timings, primaryLimit }),
      values: valueCodec(options),
      announced: new AnnouncedEpoch(),
      memory: options.memory ? Memory.open({ source, region }, options.memory) : null,
      route: options.route ? new Router(options.route, timings.routeMs) : null,
      refreshes: new Refreshes(options.maxRefreshes ?? DEFAULT_MAX_REFRESHES),
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
    this.#seal = {
      source: source.name,
      keys: options.tokenKeys ?? [],
      maxAgeMs: options.tokenMaxAgeMs ?? DEFAULT_TOKEN_MAX_AGE_MS,
    }
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

  /** Ends what goes on by itself: what is held in memory goes. Pools and clients are the app's own. */
  async close(): Promise<void> {
    await this.#host.memory?.[Symbol.asyncDispose]()
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

interface ValueOptions {
  readonly serializer?: Serializer
  readonly compression?: Compression
  readonly maxValueBytes?: number
}

function valueCodec({ serializer, compression, maxValueBytes = DEFAULT_MAX_VALUE_BYTES }: ValueOptions): ValueCodec {
  const isBound = Number.isInteger(maxValueBytes) && maxValueBytes > 0
  const mistakes = [
    ...serializerMistakes(serializer),
    ...compressionMistakes(compression),
    ...(isBound ? [] : ['maxValueBytes must be a whole number above 0']),
  ]
  if (mistakes.length > 0) throw new TidemarkError('CONFIG_INVALID', mistakes.join('; '))
  return new ValueCodec({ serializer, compression, maxValueBytes })
}

/** A worker that writes a row's projection knows no serializer of the app's. */
function projectionIsJson(keyspace: string): TidemarkError {
  return new TidemarkError('CONFIG_INVALID', `keyspace ${keyspace} is updated in place with JSON`, {
    mend: "Open Tidemark without a serializer, or let the contract say reaction: 'invalidate'",
  })
}

function checkMemory(options: MemoryOptions | undefined): void {
  const mistakes = options ? memoryMistakes(options) : []
  if (mistakes.length > 0) throw new TidemarkError('CONFIG_INVALID', mistakes.join('; '))
}

function checkPrimaryLimit(limit: PrimaryLimitOptions): void {
  const mistakes = primaryLimitMistakes(limit)
  if (mistakes.length > 0) throw new TidemarkError('CONFIG_INVALID', mistakes.join('; '))
}

function checkTokenKeys(keys: readonly TokenKey[]): void {
  const mistakes = keys.flatMap((key, i) => {
    const badId =
      !Number.isInteger(key.id) || key.id < 0 || key.id > 255 || keys.findIndex((k) => k.id === key.id) !== i
    const short = Buffer.byteLength(key.secret) < MIN_SECRET_BYTES
    return [
      ...(badId ? [`tokenKeys[${i}].id must be 0-255 and be given once`] : []),
      ...(short ? [`tokenKeys[${i}].secret must have at least ${MIN_SECRET_BYTES} bytes`] : []),
    ]
  })
  if (mistakes.length > 0) throw new TidemarkError('CONFIG_INVALID', mistakes.join('; '))
}
