// What an app outside this workspace writes: compiled strictly against the packed types, and run by plain Node.
import { defineSource } from '@tidemark/protocol'
import { type Compression, openTidemark, type Reading } from '@tidemark/refill'
import { tidemarkSession as expressSessions } from '@tidemark/refill/express'
import { tidemarkSession as fastifySessions } from '@tidemark/refill/fastify'
import { recordRefill } from '@tidemark/refill/otel'

const source = defineSource({
  name: 'shop',
  keyspaces: { product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } },
})
const compression: Compression = { algorithm: 'gzip' }

/** Servers that are away: nothing is connected to by opening. */
const away = () => Promise.reject(new Error('away'))
const redis = { mgetBuffer: away, evalsha: away, eval: away }
const tidemark = await openTidemark({ source, redis, primary: { connect: away }, compression })
const product = tidemark.cache('product', { load: async (_db, { id }) => ({ id, cents: 1999n }) })

export const read = (): Promise<Reading<{ cents: bigint }>> => product.read({ id: 1 })
using _ = recordRefill({ source, region: 'eu' })
const refused = await read().then(
  () => 'nothing',
  (error: { code?: unknown }) => String(error.code),
)
console.log(refused, typeof expressSessions, typeof fastifySessions)
