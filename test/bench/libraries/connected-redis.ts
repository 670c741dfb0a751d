import { once } from 'node:events'
import { Redis } from 'ioredis-6'

/** A client that is connected: what is measured is no connecting. */
export async function connectedRedis(url: string, { enableOfflineQueue = true } = {}): Promise<Redis> {
  const redis = new Redis(url, { enableOfflineQueue })
  await once(redis, 'ready')
  return redis
}
