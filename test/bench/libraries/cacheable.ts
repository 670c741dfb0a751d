import { createKeyv } from '@keyv/redis'
import { RedisMessageProvider } from '@qified/redis'
import { Cacheable } from 'cacheable'
import { type Library, type Row, sourceOf, TTL_MS } from '../cache-libraries/library.ts'

/** Memory as primary, Redis as secondary store, and the sync over Redis, as in its README. */
export const cacheable: Library = {
  name: 'cacheable',
  async open(place) {
    const provider = new RedisMessageProvider({ uri: place.redisUrl })
    const secondary = createKeyv(place.redisUrl, { namespace: `${place.name}:cacheable` })
    const cache = new Cacheable({
      secondary,
      ttl: TTL_MS,
      namespace: `${place.name}:cacheable`,
      sync: { qified: provider },
    })
    return {
      get: (id) => cache.getOrSet(String(id), () => place.load(sourceOf(place), id)) as Promise<Row>,
      async written(id) {
        await cache.delete(String(id))
      },
      async [Symbol.asyncDispose]() {
        await cache.disconnect()
        await provider.disconnect()
      },
    }
  },
}
