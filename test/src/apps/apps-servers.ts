import { join } from 'node:path'
import { decodeView, partitionKeys } from '@tidemark/guard'
import { localServers, PostgresServer, waitUntil } from '@tidemark/local'
import type { Position } from '@tidemark/protocol'
import type { Redis } from 'ioredis'
import { PipelineContext, quietRedis } from '../pipeline/pipeline-context.ts'
import { ServiceProcess } from '../pipeline/service-process.ts'
import { type AppsSource, appsSource, IDS, PAIR_CENTS } from './apps-source.ts'

export const REGIONS = ['eu-west', 'us-east'] as const
const REPLICAS = ['r1', 'r2', 'r3'] as const
const CONFIG = join(import.meta.dirname, 'apps.config.ts')
const BEAT_MS = 100
const START_TIMEOUT_MS = 60_000

/** A primary with three replicas of its own, a publisher, and two regions with a Redis and a worker each. */
export class AppsServers implements AsyncDisposable {
  readonly pipeline: PipelineContext
  readonly source: AppsSource
  readonly replicas: readonly PostgresServer[]
  readonly redis: readonly Redis[]
  readonly workers: ServiceProcess[] = []
  readonly #resources: AsyncDisposableStack

  private constructor(pipeline: PipelineContext, replicas: readonly PostgresServer[], resources: AsyncDisposableStack) {
    this.pipeline = pipeline
    this.source = appsSource(pipeline.name)
    this.replicas = replicas
    this.#resources = resources
    this.redis = REGIONS.map((region) =>
      resources.adopt(quietRedis(redisUrlOf(region)), (client) => client.disconnect()),
    )
  }

  static async start(): Promise<AppsServers> {
    await using resources = new AsyncDisposableStack()
    const primary = resources.use(await PostgresServer.start({ durable: false }))
    const replicas: PostgresServer[] = []
    for (const name of REPLICAS) replicas.push(resources.use(await primary.createReplica({ name })))
    const urls = { primaryUrl: primary.url(), replicaUrl: replicas[0]!.url() }
    const pipeline = resources.use(await PipelineContext.open({ servers: urls }))
    await pipeline.primary.query(`alter table hot add cents bigint not null default ${PAIR_CENTS / 2}`)
    return new AppsServers(pipeline, replicas, resources.move())
  }

  /** The rows, the services, and the wait until every partition of both regions is trusted. */
  async startServices(): Promise<void> {
    const { primary } = this.pipeline
    await primary.query('insert into hot select unnest($1::int[]), 0', [IDS])
    await this.#startService('publisher', { TIDEMARK_BEAT_MS: String(BEAT_MS) })
    for (const region of REGIONS) {
      const env = { TIDEMARK_REGION: region, TIDEMARK_REDIS_URL: redisUrlOf(region) }
      this.workers.push(await this.#startService('worker', env))
    }
    await waitUntil('there is an epoch', async () => !(await this.pipeline.here()).startsWith('00000000'), {
      timeoutMs: START_TIMEOUT_MS,
    })
    await this.passed(await this.pipeline.here())
  }

  replicaUrls(): { readonly name: string; readonly url: string }[] {
    return this.replicas.map((replica, i) => ({ name: REPLICAS[i]!, url: replica.url(this.pipeline.name) }))
  }

  /** Waits until every watermark of both regions is past that position. */
  async passed(target: Position): Promise<void> {
    const { partitions, keyPrefix } = this.source
    const keys = Array.from({ length: partitions }, (_, p) => partitionKeys(keyPrefix, p).view)
    const hasPassed = async () => {
      const raw = await Promise.all(this.redis.map((redis) => redis.mgetBuffer(...keys)))
      return raw
        .flat()
        .map(decodeView)
        .every((v) => v !== null && v.gap === undefined && v.watermark >= target)
    }
    await waitUntil('every watermark has passed', hasPassed, { timeoutMs: START_TIMEOUT_MS })
  }

  async #startService(name: 'publisher' | 'worker', env: NodeJS.ProcessEnv): Promise<ServiceProcess> {
    const service = await ServiceProcess.start(name, this.pipeline, { TIDEMARK_CONFIG: CONFIG, ...env })
    return this.#resources.use(service)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

export function redisUrlOf(region: (typeof REGIONS)[number]): string {
  return localServers().redisUrls[region]!
}
