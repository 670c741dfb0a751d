import type { Logger } from '@tidemark/service'
import { Redis } from 'ioredis'
import { Pool } from 'pg'

const CONNECT_TIMEOUT_MS = 2_000
const QUERY_TIMEOUT_MS = 5_000
const REDIS_TIMEOUT_MS = 250
const MAX_RECONNECT_DELAY_MS = 1_000

/**
 * The region's Redis. A command that cannot be sent now fails now: a read then goes on without the cache, while one
 * that waited in an offline queue would take the shop down with its Redis.
 */
export function regionRedis(url: string, log: Logger): Redis {
  const redis = new Redis(url, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: REDIS_TIMEOUT_MS,
    socketTimeout: CONNECT_TIMEOUT_MS,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 10), MAX_RECONNECT_DELAY_MS),
  })
  redis.on('error', (error: Error) => log.warn({ err: error }, 'the connection to Redis failed'))
  return redis
}

/** A pool whose every wait has an end, for a connection as for an answer. */
export function postgresPool(name: string, url: string, size: number, log: Logger): Pool {
  const pool = new Pool({
    connectionString: url,
    application_name: 'tidemark-storefront',
    max: size,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
  })
  pool.on('error', (error) => log.warn({ err: error, server: name }, 'an idle connection to Postgres failed'))
  return pool
}
