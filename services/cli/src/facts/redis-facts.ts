import { decodeView, partitionKeys, type View } from '@tidemark/guard'
import type { Source } from '@tidemark/protocol'
import type { Redis } from 'ioredis'

/** What the Redis of a region says of itself, and the view of each partition, null where there is none. */
export interface RedisFacts {
  readonly version: string
  readonly isLoading: boolean
  readonly isReplica: boolean
  readonly maxMemoryBytes: number
  readonly evictionPolicy: string
  /** Undefined while it loads. */
  readonly views: readonly (View | null)[] | undefined
}

/** `INFO` says all of it, also where `CONFIG` may not be asked. */
export async function readRedis(redis: Redis, source: Source): Promise<RedisFacts> {
  const info = fieldsOf(await redis.info())
  const isLoading = info.get('loading') === '1'
  return {
    version: info.get('redis_version') ?? '0',
    isLoading,
    isReplica: info.get('role') === 'slave',
    maxMemoryBytes: Number(info.get('maxmemory') ?? 0),
    evictionPolicy: info.get('maxmemory_policy') ?? 'noeviction',
    views: isLoading ? undefined : await readViews(redis, source),
  }
}

/** One command for each: in a cluster the partitions lie in different slots. */
async function readViews(redis: Redis, { keyPrefix, partitions }: Source): Promise<(View | null)[]> {
  const keys = Array.from({ length: partitions }, (_, partition) => partitionKeys(keyPrefix, partition).view)
  return Promise.all(keys.map(async (key) => decodeView(await redis.getBuffer(key))))
}

function fieldsOf(info: string): ReadonlyMap<string, string> {
  return new Map(
    info.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':')
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
    }),
  )
}
