export type { RedisClient } from './client.ts'
export { parseRedisUrl } from './endpoint.ts'
export { isRedisError, RedisError, type RedisErrorKind } from './redis-error.ts'
export { mastersOf, RegionRedis } from './region-redis.ts'
export {
  type RedisConnection,
  type RedisSettings,
  redisAccessSettings,
  redisAt,
  redisConnection,
  redisConnections,
  redisSettings,
  redisUrl,
} from './settings.ts'
