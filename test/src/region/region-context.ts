import { join } from 'node:path'
import { decodeView, partitionKeys, type View } from '@tidemark/guard'
import { localServers, waitUntil } from '@tidemark/local'
import { keyFor, type Position, partitionOf } from '@tidemark/protocol'
import { type Cache, openTidemark, type Replica, type Tidemark } from '@tidemark/refill'
import type { Cluster, Redis } from 'ioredis'
import { PipelineContext } from '../pipeline/pipeline-context.ts'
import { ServiceProcess, type ServiceSurroundings } from '../pipeline/service-process.ts'
import { oneRedis, type RegionRedis } from './region-redis.ts'
import { type Counter, IDS, KEYSPACES, type KeyspaceName, type RegionSource, regionSource } from './region-source.ts'

const CONFIG = join(import.meta.dirname, 'region.config.ts')
/** A read that cannot be fresh for a while says so soon. */
const TIMINGS = { watermarkWaitMs: 50, leaseWaitMs: 300 }
const TOKEN_KEYS = [{ id: 1, secret: 'a secret of the test, of 32 bytes' }]

export interface RegionServers {
  /** The shared one, unless the scenario takes its broker away. */
  readonly brokers?: readonly string[]
  /** How the workers reach Kafka, when it is not how the publisher does. */
  readonly workersBrokers?: readonly string[]
  /** The shared one, unless the scenario breaks it. */
  readonly redis?: RegionRedis
}

/** A key of one keyspace. */
export interface RegionKey {
  readonly keyspace: KeyspaceName
  readonly id: number
  readonly key: string
}

/** An app of the region: its own connections, and a cache of each keyspace. */
export interface App {
  readonly name: string
  readonly tidemark: Tidemark<{ readonly [N in KeyspaceName]: RegionSource['keyspaces'][N]['key'] }>
  readonly caches: Readonly<Record<KeyspaceName, Cache<{ readonly id: number }, Counter>>>
}

/** The servers of one region and what is its own on them: a database with its rows, a topic, a group, a key prefix. */
export class RegionContext implements AsyncDisposable {
  readonly pipeline: PipelineContext
  readonly source: RegionSource
  readonly redis: Redis | Cluster
  readonly #servers: RegionServers
  readonly #regionRedis: RegionRedis
  readonly #resources: AsyncDisposableStack

  private constructor(pipeline: PipelineContext, servers: RegionServers, resources: AsyncDisposableStack) {
    this.pipeline = pipeline
    this.source = regionSource(pipeline.name)
    this.#servers = servers
    this.#regionRedis = servers.redis ?? oneRedis(localServers().redisUrls['eu-west']!)
    this.#resources = resources
    this.redis = this.#connect()
  }

  static async open(servers: RegionServers = {}): Promise<RegionContext> {
    const resources = new AsyncDisposableStack()
    const { brokers } = servers
    const pipeline = resources.use(await PipelineContext.open(brokers ? { servers: { brokers } } : {}))
    return new RegionContext(pipeline, servers, resources)
  }

  /** A publisher or a worker, as a process. */
  async startProcess(name: 'publisher' | 'worker', env: NodeJS.ProcessEnv = {}): Promise<ServiceProcess> {
    const { workersBrokers } = this.#servers
    const { primaryUrl, brokers } = this.pipeline.servers
    const surroundings: ServiceSurroundings = {
      name: this.pipeline.name,
      servers: {
        primaryUrl,
        redisUrl: this.#regionRedis.url,
        brokers: name === 'worker' ? (workersBrokers ?? brokers) : brokers,
      },
    }
    return this.#resources.use(await ServiceProcess.start(name, surroundings, { TIDEMARK_CONFIG: CONFIG, ...env }))
  }

  async openApp(name: string, replicas: readonly Replica[]): Promise<App> {
    const { source } = this
    const { primary } = this.pipeline
    const redis = this.#connect()
    const tidemark = await openTidemark({ source, redis, primary, replicas, tokenKeys: TOKEN_KEYS, timings: TIMINGS })
    const cacheOf = (keyspace: KeyspaceName) =>
      tidemark.cache(keyspace, {
        load: async (db, { id }): Promise<Counter> => {
          const { rows } = await db.query<{ n: string }>('select n from hot where id = $1', [id])
          return { n: Number(rows[0]!.n) }
        },
      })
    const [shown, exact, refreshed, updated] = [
      cacheOf('shown'),
      cacheOf('exact'),
      cacheOf('refreshed'),
      cacheOf('updated'),
    ]
    return { name, tidemark, caches: { shown, exact, refreshed, updated } }
  }

  /** What is written and read, by partition. */
  keysByPartition(): ReadonlyMap<number, readonly RegionKey[]> {
    const { keyspaces, partitions } = this.source
    const keys = KEYSPACES.flatMap((keyspace) =>
      IDS.map((id): RegionKey => ({ keyspace, id, key: keyFor(keyspaces[keyspace].template, { id }) })),
    )
    return Map.groupBy(keys, ({ key }) => partitionOf(key, partitions))
  }

  async views(): Promise<(View | null)[]> {
    const { partitions, keyPrefix } = this.source
    const partitionNumbers = Array.from({ length: partitions }, (_, p) => p)
    return Promise.all(
      partitionNumbers.map(async (p) => decodeView(await this.redis.getBuffer(partitionKeys(keyPrefix, p).view))),
    )
  }

  /** Waits until every partition's watermark is past that position. */
  async passed(target: Position, timeoutMs: number): Promise<void> {
    const hasPassed = async () =>
      (await this.views()).every((v) => v !== null && v.gap === undefined && v.watermark >= target)
    await waitUntil('every watermark has passed', hasPassed, { timeoutMs, everyMs: 10 })
  }

  #connect(): Redis | Cluster {
    return this.#resources.adopt(this.#regionRedis.connect(), (client) => client.disconnect())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}
