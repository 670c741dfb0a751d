export type { RedisClient, RedisClientOptions } from './client.ts'
export { parseRedisUrl, type RedisEndpoint, type RedisNode } from './endpoint.ts'
export { isRedisError, RedisError, type RedisErrorKind } from './redis-error.ts'
export { mastersOf, RegionRedis } from './region-redis.ts'
export {
  type RedisAccessSettings,
  type RedisConnection,
  type RedisSettings,
  redisAccessSettings,
  redisAt,
  redisConnection,
  redisConnections,
  redisSettings,
  redisUrl,
} from './settings.ts'
