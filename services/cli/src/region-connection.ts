import { RegionRedis } from '@tidemark/redis'
import { CLIENT, LOOK_MS } from './connections.ts'
import type { NamedRedis } from './settings.ts'

/** The Redis of a region for as long as it takes: each command has a deadline. Throws RedisError. */
export async function withRegion<T>(
  { redis: connection }: NamedRedis,
  ask: (redis: RegionRedis) => Promise<T>,
): Promise<T> {
  const redis = new RegionRedis(connection, { clientName: CLIENT, commandTimeoutMs: LOOK_MS / 2, once: true })
  try {
    return await ask(redis)
  } finally {
    redis.close()
  }
}
