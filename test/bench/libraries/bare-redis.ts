import { type Library, type Row, sourceOf, TTL_MS } from '../cache-libraries/library.ts'
import { connectedRedis } from './connected-redis.ts'

/** What one writes by hand: GET, SELECT, SET, and DEL after a write. The yardstick of the others. */
export const bareRedis: Library = {
  name: 'bare ioredis',
  hasNoMemory: true,
  async open(place) {
    const redis = await connectedRedis(place.redisUrl)
    const keyOf = (id: number) => `${place.name}:bare:${id}`
    return {
      async get(id) {
        const cached = await redis.get(keyOf(id))
        if (cached !== null) return JSON.parse(cached) as Row
        const row = await place.load(sourceOf(place), id)
        await redis.set(keyOf(id), JSON.stringify(row), 'PX', TTL_MS)
        return row
      },
      async written(id) {
        await redis.del(keyOf(id))
      },
      [Symbol.asyncDispose]: async () => redis.disconnect(),
    }
  },
}
