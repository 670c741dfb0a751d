import type { Redis } from 'ioredis-6'
import { createNotificationPair, Loader, RedisCache } from 'layered-loader'
import { type Library, MOST_IN_MEMORY, type Row, sourceOf, TTL_MS } from '../cache-libraries/library.ts'
import { connectedRedis } from './connected-redis.ts'

/** Memory, Redis and the notification pair, as in its README under "Update notifications". */
export const layeredLoader: Library = {
  name: 'layered-loader',
  async open(place) {
    const clients = await Promise.all(Array.from({ length: 3 }, () => connectedRedis(place.redisUrl)))
    const [redis, publisherRedis, consumerRedis] = clients as [Redis, Redis, Redis]
    const channel = `${place.name}:layered`
    const { publisher, consumer } = createNotificationPair<Row>({ channel, publisherRedis, consumerRedis })
    const loader = new Loader<Row>({
      inMemoryCache: { cacheType: 'lru-map', ttlInMsecs: TTL_MS, maxItems: MOST_IN_MEMORY },
      asyncCache: new RedisCache<Row>(redis, { prefix: channel, json: true, ttlInMsecs: TTL_MS }),
      notificationPublisher: publisher,
      notificationConsumer: consumer,
      dataSourceGetOneFn: (key: string) => place.load(sourceOf(place), Number(key)),
    })
    await loader.init()
    return {
      get: (id) => loader.get(String(id)) as Promise<Row>,
      written: (id) => loader.invalidateCacheFor(String(id)),
      async [Symbol.asyncDispose]() {
        for (const client of clients) client.disconnect()
      },
    }
  },
}
