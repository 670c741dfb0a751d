import { defineSource } from '@tidemark/protocol'
import { openTidemark } from '@tidemark/refill'
import type { Redis } from 'ioredis'
import type { Pool } from 'pg'

/** Shared with publisher and workers: what is cached, and which rows change it. */
export const source = defineSource({
  name: 'shop',
  keyspaces: { product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } },
})

/** Clients are yours, and so are their bounds: a Redis without offline queue, pools with time-outs. */
export async function openShop(redis: Redis, primary: Pool, replica: Pool, secret: string, shop = source) {
  const tokenKeys = [{ id: 1, secret }] // of at least 32 bytes
  const tidemark = await openTidemark({ source: shop, redis, primary, replicas: [replica], tokenKeys })
  const product = tidemark.cache('product', {
    load: async (db, { id }) =>
      (await db.query<{ cents: number }>('select cents from product where id = $1', [id])).rows[0],
  })
  return {
    price: (id: number) => product.get({ id }),
    /** Reads its own write, here and in every region that the token is carried to. */
    async setPrice(id: number, cents: number, token?: string) {
      const session = tidemark.session(token)
      await session.write((db) => db.query('update product set cents = $2 where id = $1', [id, cents]))
      return { ...(await product.read({ id }, { session })), token: session.token() }
    },
  }
}
