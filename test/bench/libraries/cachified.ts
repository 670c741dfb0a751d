import { type Cache, type CacheEntry, cachified, totalTtl } from '@epic-web/cachified'
import { redisCacheAdapter } from 'cachified-redis-adapter'
import { LRUCache } from 'lru-cache'
import { createClient } from 'redis'
import { type App, type Library, MOST_IN_MEMORY, type Place, sourceOf, TTL_MS } from '../cache-libraries/library.ts'

/** One cache a call: the adapter for Redis that its README names; for the memory's case the `lru-cache` of its README. */
export const cachifiedLibrary: Library = {
  name: 'cachified',
  async open(place) {
    const redis = createClient({ url: place.redisUrl })
    await redis.connect()
    const adapter = redisCacheAdapter(redis as unknown as Parameters<typeof redisCacheAdapter>[0])
    return appWith(adapter, place, async () => redis.destroy())
  },
  openInMemory: async (place) => appWith(memory(), place, async () => undefined),
}

function appWith(cache: Cache, place: Place, close: () => Promise<void>): App {
  const keyOf = (id: number) => `${place.name}:cachified:${id}`
  return {
    get: (id) =>
      cachified({ key: keyOf(id), cache, ttl: TTL_MS, getFreshValue: () => place.load(sourceOf(place), id) }),
    async written(id) {
      await cache.delete(keyOf(id))
    },
    [Symbol.asyncDispose]: close,
  }
}

function memory(): Cache {
  const lru = new LRUCache<string, CacheEntry>({ max: MOST_IN_MEMORY })
  return {
    set: (key, value) => lru.set(key, value, { ttl: totalTtl(value?.metadata), start: value?.metadata?.createdTime }),
    get: (key) => lru.get(key),
    delete: (key) => lru.delete(key),
  }
}
