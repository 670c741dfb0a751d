import { defineSource } from '@tidemark/protocol'
import { openTidemark } from '@tidemark/refill'
import type { Redis } from 'ioredis'
import pg from 'pg'

/** Shared with publisher and workers: what is cached, and which rows change it. */
export const shop = defineSource({
  name: 'shop',
  keyspaces: { product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } },
})

/** Pools are yours, and so are their bounds: a server that says nothing is passed by after them. */
export function openPool(connectionString: string) {
  const pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 500, query_timeout: 5_000 })
  return pool.on('error', (error) => console.error('an idle connection broke', error.message))
}

interface Servers {
  readonly primary: pg.Pool
  readonly replica: pg.Pool
  readonly redis: Redis // opened with enableOfflineQueue: false, or it hides an outage
  readonly tokenSecret: string // at least 32 bytes
}

export async function openShop({ primary, replica, redis, tokenSecret }: Servers, source = shop) {
  const tidemark = await openTidemark({
    source,
    redis,
    primary,
    replicas: [{ name: 'eu-west-1', pool: replica }],
    tokenKeys: [{ id: 1, secret: tokenSecret }],
  })
  const product = tidemark.cache('product', {
    load: async (db, { id }) => {
      const { rows } = await db.query<{ cents: number }>('select cents from product where id = $1', [id])
      return rows[0]
    },
  })
  return {
    price: (id: number) => product.get({ id }),

    /** A session reads its own writes, here and in every region that its token is carried to. */
    async setPrice(id: number, cents: number, token?: string) {
      const session = tidemark.session(token)
      await session.write((db) => db.query('update product set cents = $2 where id = $1', [id, cents]))
      const { value, freshness } = await product.read({ id }, { session })
      return { value, freshness, token: session.token() }
    },
  }
}
