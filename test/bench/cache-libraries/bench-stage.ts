import { setTimeout as sleep } from 'node:timers/promises'
import { KAFKA_VERSION, KafkaServer, PostgresServer, RedisServer } from '@tidemark/local'
import { Pool } from 'pg'
import { ServiceProcess } from '../../src/pipeline/service-process.ts'
import { connectedRedis } from '../libraries/connected-redis.ts'
import type { TurnTask } from './turn.ts'

const ROWS = 12_000
const DETAIL_BYTES = 240
/** How far the replica is behind, and what some of the loads are therefore older than. */
export const REPLICA_DELAY_MS = 25
const SETTLE_MS = 500
const NAME = 'bench'

/** Servers of the benchmark's own, and the pipeline while it is needed. */
export class BenchStage implements AsyncDisposable {
  readonly redis: RedisServer
  readonly primary: PostgresServer
  readonly replica: PostgresServer
  readonly kafka: KafkaServer
  readonly #resources: AsyncDisposableStack

  private constructor(
    servers: Pick<BenchStage, 'redis' | 'primary' | 'replica' | 'kafka'>,
    resources: AsyncDisposableStack,
  ) {
    this.redis = servers.redis
    this.primary = servers.primary
    this.replica = servers.replica
    this.kafka = servers.kafka
    this.#resources = resources
  }

  static async open(): Promise<BenchStage> {
    await using resources = new AsyncDisposableStack()
    const onProgress = (message: string) => process.stderr.write(`${message}\n`)
    const primary = resources.use(await PostgresServer.start({ durable: false, onProgress }))
    const settings = { recovery_min_apply_delay: `${REPLICA_DELAY_MS}ms` }
    const replica = resources.use(await primary.createReplica({ name: 'behind', settings, onProgress }))
    const kafka = resources.use(await KafkaServer.start({ onProgress }))
    const redis = resources.use(await RedisServer.start({ onProgress }))
    await inPool(primary, async (pool) => {
      await pool.query('create table hot (id integer primary key, n bigint not null, detail text not null)')
      await pool.query(`insert into hot select i, 0, repeat('x', $2) from generate_series(1, $1::int) i`, [
        ROWS,
        DETAIL_BYTES,
      ])
    })
    return new BenchStage({ redis, primary, replica, kafka }, resources.move())
  }

  task(library: string): TurnTask {
    return {
      library,
      name: NAME,
      redisUrl: this.redis.url,
      primaryUrl: this.primary.url(),
      replicaUrl: this.replica.url(),
    }
  }

  async versions(): Promise<Record<string, string>> {
    const redis = await connectedRedis(this.redis.url)
    const Redis = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? ''
    redis.disconnect()
    const { rows } = await inPool(this.primary, (pool) => pool.query<{ server_version: string }>('show server_version'))
    return { Postgres: rows[0]!.server_version, Redis, Kafka: KAFKA_VERSION }
  }

  /** As every turn finds it: nothing in Redis, no row changed. */
  async clear(): Promise<void> {
    const redis = await connectedRedis(this.redis.url)
    await redis.flushall()
    redis.disconnect()
    await inPool(this.primary, async (pool) => {
      await pool.query('update hot set n = 0 where n > 0')
      await pool.query('vacuum hot')
    })
    await sleep(SETTLE_MS)
  }

  /** Publisher and worker as processes, with their defaults. */
  async startPipeline(): Promise<AsyncDisposable> {
    await using resources = new AsyncDisposableStack()
    const surroundings = {
      name: NAME,
      servers: { primaryUrl: this.primary.url(), redisUrl: this.redis.url, brokers: this.kafka.brokers.split(',') },
    }
    for (const name of ['publisher', 'worker'] as const) {
      resources.use(await ServiceProcess.start(name, surroundings))
    }
    return resources.move()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

async function inPool<T>(server: PostgresServer, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = new Pool({ connectionString: server.url(), max: 1 })
  try {
    return await work(pool)
  } finally {
    await pool.end()
  }
}
