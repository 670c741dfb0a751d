import { randomBytes } from 'node:crypto'
import { decodeView, partitionKeys } from '@tidemark/guard'
import { dropDatabase, localServers, waitUntil } from '@tidemark/local'
import { type Position, parseLsn, position, roundDownInPageHeader } from '@tidemark/protocol'
import { runPublisher } from '@tidemark/publisher'
import { redisAt } from '@tidemark/redis'
import { openTidemark, type TidemarkOptions } from '@tidemark/refill'
import { runWorker } from '@tidemark/worker'
import { Redis } from 'ioredis'
import { Kafka, logLevel } from 'kafkajs'
import { Pool } from 'pg'
import type { Logger } from 'pino'
import { type HotOptions, hotSource } from './hot-source.ts'
import { RunningService } from './running-service.ts'

export interface PipelineServers {
  readonly primaryUrl: string
  readonly replicaUrl: string
  readonly redisUrl: string
  readonly brokers: readonly string[]
}

export interface PipelineOptions extends HotOptions {
  /** Servers of the test's own; the shared ones by default. */
  readonly servers?: Partial<PipelineServers>
}

type Keys = { readonly hot: 'hot:{id}' }

const SEGMENT_BYTES = 16 * 1024 * 1024
const SCHEMA = 'create table hot (id integer primary key, n bigint not null)'

/**
 * The whole path for one region, on real servers, with a database, topic, slot, consumer group and key prefix of its
 * own: table `hot` → keyspace `hot`. Publisher and worker run in this process, and can be stopped and started.
 */
export class PipelineContext implements AsyncDisposable {
  readonly name: string
  readonly servers: PipelineServers
  readonly source
  readonly primary: Pool
  readonly replica: Pool
  readonly redis: Redis
  readonly #resources: AsyncDisposableStack

  private constructor(
    name: string,
    servers: PipelineServers,
    options: PipelineOptions,
    resources: AsyncDisposableStack,
  ) {
    this.name = name
    this.servers = servers
    this.#resources = resources
    this.source = hotSource(name, options)
    this.primary = resources.adopt(quietPool(servers.primaryUrl, 24), (pool) => pool.end())
    this.replica = resources.adopt(quietPool(servers.replicaUrl, 16), (pool) => pool.end())
    this.redis = resources.adopt(quietRedis(servers.redisUrl), (client) => client.disconnect())
  }

  static async open(options: PipelineOptions = {}): Promise<PipelineContext> {
    const resources = new AsyncDisposableStack()
    try {
      return await PipelineContext.#open(options, resources)
    } catch (error) {
      await resources.disposeAsync()
      throw error
    }
  }

  static async #open(options: PipelineOptions, resources: AsyncDisposableStack): Promise<PipelineContext> {
    const shared = localServers()
    const name = `t${randomBytes(4).toString('hex')}`
    const primaryUrl = options.servers?.primaryUrl ?? shared.primaryUrl
    const admin = resources.adopt(quietPool(primaryUrl, 1), (pool) => pool.end())
    await admin.query(`create database ${name}`)
    resources.defer(() => dropDatabase(admin, name))
    const servers: PipelineServers = {
      primaryUrl: inDatabase(primaryUrl, name),
      replicaUrl: inDatabase(options.servers?.replicaUrl ?? shared.replicaUrls['eu-west']!, name),
      redisUrl: options.servers?.redisUrl ?? shared.redisUrls['eu-west']!,
      brokers: options.servers?.brokers ?? shared.kafkaBrokers.split(','),
    }
    const context = new PipelineContext(name, servers, options, resources)
    resources.defer(() => deleteTopic(servers.brokers, context.source.topic))
    await context.primary.query(SCHEMA)
    return context
  }

  startPublisher(options: { readonly beatMs?: number } = {}): RunningService {
    const { source, servers } = this
    return this.#run((signal, log) =>
      runPublisher({
        source,
        postgresUrl: servers.primaryUrl,
        brokers: servers.brokers,
        log,
        beatMs: 50,
        ...options,
        signal,
      }),
    )
  }

  startWorker(): RunningService {
    const { source, servers } = this
    return this.#run((signal, log) =>
      runWorker({
        source,
        region: 'eu-west',
        redis: redisAt(servers.redisUrl),
        brokers: servers.brokers,
        log,
        signal,
      }),
    )
  }

  /** Publisher and worker, and the wait until every partition is trusted. */
  async start(): Promise<void> {
    this.startPublisher()
    this.startWorker()
    await this.caughtUp()
  }

  tidemark(options: Partial<TidemarkOptions<Keys>> = {}) {
    const { source, redis, primary, replica } = this
    return openTidemark({ source, redis, primary, replicas: [{ name: 'replica', pool: replica }], ...options })
  }

  /** The counter of a key, cached. */
  async counters(options: Partial<TidemarkOptions<Keys>> = {}) {
    const tidemark = await this.tidemark(options)
    return tidemark.cache('hot', {
      load: (db, { id }) =>
        db.query<{ n: string }>('select n from hot where id = $1', [id]).then((r) => Number(r.rows[0]?.n ?? 0)),
    })
  }

  /** Where the primary's log ends now, in the newest epoch. */
  async here(): Promise<Position> {
    const { rows } = await this.primary.query<{ lsn: string; epoch: number }>(
      'select pg_current_wal_insert_lsn()::text as lsn, (select max(epoch) from tidemark.epoch where source = $1) as epoch',
      [this.source.name],
    )
    const { lsn, epoch } = rows[0]!
    return position(epoch, roundDownInPageHeader(parseLsn(lsn), SEGMENT_BYTES))
  }

  /** Waits until every partition's watermark has reached where the log ends now. */
  async caughtUp(timeoutMs = 60_000): Promise<void> {
    const condition = async () => {
      target ??= await this.here()
      const views = await this.views()
      return views.every((v) => v !== null && v.gap === undefined && v.watermark >= target!)
    }
    let target: Position | undefined
    await waitUntil('every watermark has reached the end of the log', condition, { timeoutMs })
  }

  async views() {
    const keys = Array.from({ length: this.source.partitions }, (_, p) => partitionKeys(this.source.keyPrefix, p).view)
    return (await this.redis.mgetBuffer(...keys)).map(decodeView)
  }

  #run(service: (signal: AbortSignal, log: Logger) => Promise<unknown>): RunningService {
    return this.#resources.use(new RunningService(service))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

function inDatabase(url: string, database: string): string {
  const at = new URL(url)
  at.pathname = `/${database}`
  return at.href
}

/** Tests take servers away from under idle connections: their errors are no news. */
export function quietPool(connectionString: string, max: number): Pool {
  const pool = new Pool({ connectionString, max })
  pool.on('error', () => undefined)
  return pool
}

export function quietRedis(url: string): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: 1, commandTimeout: 2_000, retryStrategy: () => 100 })
  redis.on('error', () => undefined)
  return redis
}

export async function deleteTopic(brokers: readonly string[], topic: string): Promise<void> {
  const admin = new Kafka({ clientId: 'test', brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  await admin.deleteTopics({ topics: [topic] }).catch(() => undefined) // it may never have been made
  await admin.disconnect()
}
