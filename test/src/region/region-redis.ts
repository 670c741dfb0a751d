import type { RedisCluster, RedisSentinel } from '@tidemark/local'
import { Cluster, Redis } from 'ioredis'
import { quietRedis } from '../pipeline/pipeline-context.ts'

/** The Redis of a region, whatever it is made of: one server, Sentinel, or Cluster. */
export interface RegionRedis {
  /** As the worker's settings spell it. */
  readonly url: string
  /** A client as an app has it. */
  connect(): Redis | Cluster
}

const BOUNDS = { maxRetriesPerRequest: 1, commandTimeout: 2_000 }
const RETRY_MS = 100

export function oneRedis(url: string): RegionRedis {
  return { url, connect: () => quietRedis(url) }
}

/**
 * Every other client is beside the sentinels and follows them at once; the rest know them by the network that a
 * partition cuts, and stay with the master they have for as long as it answers.
 */
export function sentinelRedis({ url, masterName: name, sentinels }: RedisSentinel): RegionRedis {
  let clients = 0
  const connect = () => {
    const isBeside = clients++ % 2 === 0
    const ports = sentinels.map(({ port, proxy }) => (isBeside ? port : proxy.port))
    return quiet(
      new Redis({
        sentinels: ports.map((port) => ({ host: '127.0.0.1', port })),
        ...{ name, failoverDetector: isBeside, updateSentinels: false },
        ...{ retryStrategy: () => RETRY_MS, sentinelRetryStrategy: () => RETRY_MS, ...BOUNDS },
      }),
    )
  }
  return { url, connect }
}

export function clusterRedis({ url, nodes }: RedisCluster): RegionRedis {
  const addresses = nodes.map(({ port }) => ({ host: '127.0.0.1', port }))
  const connect = () => quiet(new Cluster(addresses, { redisOptions: BOUNDS, clusterRetryStrategy: () => RETRY_MS }))
  return { url, connect }
}

/** Tests take servers away: their errors are no news. */
function quiet<T extends Redis | Cluster>(client: T): T {
  client.on('error', () => undefined)
  return client
}
