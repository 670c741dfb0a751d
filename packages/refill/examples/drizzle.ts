import type { Tidemark } from '@tidemark/refill'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import type pg from 'pg'

const products = pgTable('product', { id: integer().primaryKey(), cents: integer().notNull() })

/** Drizzle over the connection that a load or a write is given: the label is that connection's, and so is the transaction. */
export function openShop(tidemark: Tidemark<{ product: 'product:{id}' }>) {
  const product = tidemark.cache('product', {
    load: async (db: pg.PoolClient, { id }) => {
      const rows = await drizzle(db)
        .select()
        .from(products)
        .where(eq(products.id, Number(id)))
      return rows[0]
    },
  })
  return {
    product,
    async setPrice(id: number, cents: number, token?: string) {
      const session = tidemark.session(token)
      await session.write((db: pg.PoolClient) => drizzle(db).update(products).set({ cents }).where(eq(products.id, id)))
      return session
    },
  }
}
