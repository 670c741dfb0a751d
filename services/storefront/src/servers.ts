import { type RedisConnection, RegionRedis } from '@tidemark/redis'
import type { Logger } from '@tidemark/service'
import { Pool } from 'pg'

const CONNECT_TIMEOUT_MS = 2_000
const QUERY_TIMEOUT_MS = 5_000
const REDIS_TIMEOUT_MS = 250

/**
 * The region's Redis. A command that cannot be sent now fails now: a read then goes on without the cache, while one
 * that waited in an offline queue would take the shop down with its Redis.
 */
export function regionRedis(connection: RedisConnection, log: Logger): RegionRedis {
  return new RegionRedis(connection, { clientName: 'storefront', commandTimeoutMs: REDIS_TIMEOUT_MS, log })
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
