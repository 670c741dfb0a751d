import { randomBytes } from 'node:crypto'
import { decodeView, partitionKeys, type View } from '@tidemark/guard'
import { localServers, PostgresServer, waitUntil } from '@tidemark/local'
import { keyFor, partitionOf, position, roundDownInPageHeader } from '@tidemark/protocol'
import { runPublisher } from '@tidemark/publisher'
import { redisAt } from '@tidemark/redis'
import { type ConnectionPool, openTidemark, type Replica } from '@tidemark/refill'
import { runWorker } from '@tidemark/worker'
import type { Redis } from 'ioredis'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { hotSource } from '../pipeline/hot-source.ts'
import { deleteTopic, quietPool, quietRedis } from '../pipeline/pipeline-context.ts'
import { RunningService } from '../pipeline/running-service.ts'
import { ServiceProcess } from '../pipeline/service-process.ts'
import { PrimaryServer } from './primary-server.ts'

export const IDS = Array.from({ length: 12 }, (_, i) => i + 1)
/** Of each app in its turn, the row that its sessions write. */
export const SESSION_IDS = [101, 102, 103, 104]
const SEGMENT_BYTES = 16 * 1024 * 1024
const DEADLINE_MS = 60_000
/** A read that cannot be fresh for a while says so soon. */
const TIMINGS = { watermarkWaitMs: 20, leaseWaitMs: 200 }
const TOKEN_KEYS = [{ id: 1, secret: 'a secret of the test, of 32 bytes' }]

export interface PromotionOptions {
  /** A Redis of the test's own, which it may flush. */
  readonly redisUrl?: string
  /** Settings of the first primary and of all its copies. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>
}

/** A source whose primary changes: servers of the test's own, a region's Redis, and the services between them. */
export class PromotionContext implements AsyncDisposable {
  readonly source
  readonly first: PrimaryServer
  readonly redis: Redis
  readonly #redisUrl: string
  readonly #brokers = localServers().kafkaBrokers.split(',')
  readonly #resources: AsyncDisposableStack
  readonly #announced = new Map<number, number>()
  #serial = 0

  private constructor(first: PrimaryServer, redisUrl: string, resources: AsyncDisposableStack) {
    this.source = hotSource(`p${randomBytes(4).toString('hex')}`, {
      contract: { whenUnprovable: 'serve-stale', retainStaleMs: 60_000 },
    })
    this.first = first
    this.#redisUrl = redisUrl
    this.redis = resources.adopt(quietRedis(redisUrl), (client) => client.disconnect())
    this.#resources = resources
    resources.defer(() => deleteTopic(this.#brokers, this.source.topic))
  }

  /** Starts the first primary, with its rows. */
  static async open(options: PromotionOptions = {}): Promise<PromotionContext> {
    const resources = new AsyncDisposableStack()
    try {
      const server = resources.use(await PostgresServer.start({ durable: false, settings: { ...options.settings } }))
      const first = resources.use(await PrimaryServer.first(server))
      const redisUrl = options.redisUrl ?? localServers().redisUrls['eu-west']!
      const context = new PromotionContext(first, redisUrl, resources)
      await first.pool.query('insert into hot select unnest($1::int[]), $2', [
        [...IDS, ...SESSION_IDS],
        context.nextValue(first),
      ])
      return context
    } catch (error) {
      await resources.disposeAsync()
      throw error
    }
  }

  /** A copy of a server, streaming from it; of a standby, too. */
  async standbyOf(server: PostgresServer, name: string, settings = {}): Promise<PostgresServer> {
    return this.#resources.use(await server.createReplica({ name, settings }))
  }

  async promote(standby: PostgresServer, parent: PrimaryServer): Promise<PrimaryServer> {
    return this.#resources.use(await PrimaryServer.promote(standby, parent))
  }

  /** A pool of connections to a server that is no primary, or is to be one. */
  poolOf(server: PostgresServer): Pool {
    return this.#resources.adopt(quietPool(server.url(), 8), (pool) => pool.end())
  }

  /** A service as a process of its own, which can be frozen and killed. */
  async startProcess(name: 'publisher' | 'worker', { server }: PrimaryServer): Promise<ServiceProcess> {
    const servers = { primaryUrl: server.url(), redisUrl: this.#redisUrl, brokers: this.#brokers }
    const env = { TIDEMARK_BEAT_MS: '50' }
    return this.#resources.use(await ServiceProcess.start(name, { name: this.source.name, servers }, env))
  }

  /** A value that nobody wrote before; its last digit is the timeline that it is written on, or 0 for a session's. */
  nextValue(primary?: PrimaryServer): number {
    this.#serial += 1
    return this.#serial * 10 + (primary?.timeline ?? 0)
  }

  startPublisher({ server }: PrimaryServer): RunningService {
    return this.#run((signal, log) =>
      runPublisher({
        source: this.source,
        postgresUrl: server.url(),
        brokers: this.#brokers,
        log,
        beatMs: 50,
        minRetryMs: 50,
        maxRetryMs: 500,
        signal,
      }),
    )
  }

  startWorker(): RunningService {
    return this.#run((signal, log) =>
      runWorker({
        source: this.source,
        region: 'eu-west',
        redis: redisAt(this.#redisUrl),
        brokers: this.#brokers,
        log,
        signal,
      }),
    )
  }

  /** The app's side, on pools that may be moved. Tokens of one app are good in every other. */
  async openApp(primary: ConnectionPool, replicas: readonly Replica[] = []) {
    const { source, redis } = this
    const tidemark = await openTidemark({ source, redis, primary, replicas, tokenKeys: TOKEN_KEYS, timings: TIMINGS })
    const rows = tidemark.cache('hot', {
      load: (db, { id }) =>
        db.query<{ n: string }>('select n from hot where id = $1', [id]).then((r) => Number(r.rows[0]?.n ?? 0)),
    })
    return { tidemark, rows }
  }

  async views(): Promise<(View | null)[]> {
    const keys = Array.from({ length: this.source.partitions }, (_, p) => partitionKeys(this.source.keyPrefix, p).view)
    return (await this.redis.mgetBuffer(...keys)).map(decodeView)
  }

  /** The newest epoch that any look has found announced to the row's partition. A view that is flushed takes back nothing. */
  async announcedTo(id: number): Promise<number> {
    const { keyPrefix, partitions, keyspaces } = this.source
    const partition = partitionOf(keyFor(keyspaces.hot.template, { id }), partitions)
    const view = decodeView(await this.redis.getBuffer(partitionKeys(keyPrefix, partition).view))
    const epoch = Math.max(this.#announced.get(partition) ?? 0, view === null ? 0 : Number.parseInt(view.epoch, 16))
    this.#announced.set(partition, epoch)
    return epoch
  }

  /** Waits until the region has an epoch of that timeline or a later one, in every partition. */
  async announced(primary: PrimaryServer): Promise<void> {
    const isAnnounced = async () => {
      const epoch = (await primary.epochs()).find(({ timeline }) => timeline >= primary.timeline)?.epoch
      return (
        epoch !== undefined && (await this.views()).every((v) => v !== null && Number.parseInt(v.epoch, 16) >= epoch)
      )
    }
    await waitUntil('the epoch is announced in the region', isAnnounced, { timeoutMs: DEADLINE_MS })
  }

  /** Waits until every partition's watermark has reached where that primary's log ends now. */
  async caughtUp(primary: PrimaryServer): Promise<void> {
    let target: string | undefined
    const condition = async () => {
      const epoch = Math.max(...(await primary.epochs()).map((e) => e.epoch))
      target ??= position(epoch, roundDownInPageHeader(await primary.end(), SEGMENT_BYTES))
      return (await this.views()).every((v) => v !== null && v.gap === undefined && v.watermark >= target!)
    }
    await waitUntil('every watermark has reached the end of the log', condition, { timeoutMs: DEADLINE_MS })
  }

  /** Whether no partition of the region has a view that is trusted. */
  async trustsNothing(): Promise<boolean> {
    return (await this.views()).every((v) => v === null || v.gap !== undefined)
  }

  #run(service: (signal: AbortSignal, log: Logger) => Promise<unknown>): RunningService {
    return this.#resources.use(new RunningService(service))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}
