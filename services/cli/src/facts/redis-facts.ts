import { decodeView, partitionKeys, type View } from '@tidemark/guard'
import type { Source } from '@tidemark/protocol'
import { mastersOf, type RedisClient, type RegionRedis } from '@tidemark/redis'

/** What the Redis of a region says of itself, and the view of each partition, null where there is none. */
export interface RedisFacts {
  /** One; of a cluster the master of each shard. */
  readonly servers: readonly RedisServerFacts[]
  readonly cluster: ClusterFacts | undefined
  /** Undefined while a server loads. */
  readonly views: readonly (View | null)[] | undefined
}

export interface RedisServerFacts {
  readonly product: 'Redis' | 'Valkey'
  readonly version: string
  readonly isLoading: boolean
  readonly isReplica: boolean
  readonly maxMemoryBytes: number
  readonly evictionPolicy: string
  /** The last attempt to write its data to disk failed. */
  readonly failsToSave: boolean
  readonly replicas: number
  /** Undefined where the account may not ask. */
  readonly minReplicasToWrite: number | undefined
}

export interface ClusterFacts {
  readonly isUp: boolean
  /** Slots of all 16384 whose server answers. */
  readonly slotsUp: number
}

/** `INFO` says nearly all of it, also where `CONFIG` may not be asked. */
export async function readRedis(redis: RegionRedis, source: Source): Promise<RedisFacts> {
  const cluster = await redis.ask(readCluster)
  const servers = await redis.ask((client) => Promise.all(mastersOf(client).map(readServer)))
  const isLoading = servers.some((server) => server.isLoading)
  return { servers, cluster, views: isLoading ? undefined : await readViews(redis, source) }
}

async function readCluster(client: RedisClient): Promise<ClusterFacts | undefined> {
  if (!client.isCluster) return undefined
  const info = fieldsOf(String(await client.cluster('INFO')))
  return { isUp: info.get('cluster_state') === 'ok', slotsUp: Number(info.get('cluster_slots_ok') ?? 0) }
}

async function readServer(server: RedisClient): Promise<RedisServerFacts> {
  const info = fieldsOf(await server.info())
  const valkey = info.get('valkey_version')
  return {
    product: valkey === undefined ? 'Redis' : 'Valkey',
    version: valkey ?? info.get('redis_version') ?? '0',
    isLoading: info.get('loading') === '1',
    isReplica: info.get('role') === 'slave',
    maxMemoryBytes: Number(info.get('maxmemory') ?? 0),
    evictionPolicy: info.get('maxmemory_policy') ?? 'noeviction',
    failsToSave: info.get('rdb_last_bgsave_status') === 'err' || info.get('aof_last_write_status') === 'err',
    replicas: Number(info.get('connected_slaves') ?? 0),
    minReplicasToWrite: await minReplicasToWrite(server),
  }
}

async function minReplicasToWrite(server: RedisClient): Promise<number | undefined> {
  const answer = await server.config('GET', 'min-replicas-to-write').catch(() => undefined)
  return Array.isArray(answer) && answer.length === 2 ? Number(answer[1]) : undefined
}

/** One command for each: in a cluster the partitions lie in different slots. */
async function readViews(redis: RegionRedis, { keyPrefix, partitions }: Source): Promise<(View | null)[]> {
  const keys = Array.from({ length: partitions }, (_, partition) => partitionKeys(keyPrefix, partition).view)
  return Promise.all(keys.map(async (key) => decodeView((await redis.mgetBuffer(key))[0] ?? null)))
}

function fieldsOf(info: string): ReadonlyMap<string, string> {
  return new Map(
    info.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':')
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
    }),
  )
}
