import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis'
import { type Library, MOST_IN_MEMORY, sourceOf, TTL_MS } from '../cache-libraries/library.ts'

/**
 * Two layers and the bus, as in its README. Its memory is told nothing: with `serialize: false`, which is faster, 1.6.1
 * throws out of the bus' listener at the first message.
 */
export const bentoCache: Library = {
  name: 'bentocache',
  async open(place) {
    const { hostname, port } = new URL(place.redisUrl)
    const connection = { host: hostname, port: Number(port) }
    const store = bentostore()
      .useL1Layer(memoryDriver({ maxItems: MOST_IN_MEMORY }))
      .useL2Layer(redisDriver({ connection }))
      .useBus(redisBusDriver({ connection }))
    const bento = new BentoCache({ default: 'rows', prefix: `${place.name}:bento`, stores: { rows: store } })
    return {
      get: (id) => bento.getOrSet({ key: String(id), ttl: TTL_MS, factory: () => place.load(sourceOf(place), id) }),
      async written(id) {
        await bento.delete({ key: String(id) })
      },
      [Symbol.asyncDispose]: () => bento.disconnectAll(),
    }
  },
}
