import type { Connection, Tidemark } from '@tidemark/refill'
import { Kysely, PostgresDialect, type PostgresPoolClient } from 'kysely'

interface Tables {
  readonly product: { readonly id: number; readonly cents: number }
}

/** Kysely over one connection: its "pool" hands out that one, and giving it back is Tidemark's affair. */
function kysely(db: Connection): Kysely<Tables> {
  const one = { query: db.query.bind(db), release: () => undefined } as PostgresPoolClient
  const pool = { connect: async () => one, end: async () => undefined, options: {} }
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
}

export function openShop(tidemark: Tidemark<{ product: 'product:{id}' }>) {
  const product = tidemark.cache('product', {
    load: (db, { id }) =>
      kysely(db).selectFrom('product').select(['id', 'cents']).where('id', '=', Number(id)).executeTakeFirst(),
  })
  return {
    product,
    async setPrice(id: number, cents: number, token?: string) {
      const session = tidemark.session(token)
      await session.write((db) => kysely(db).updateTable('product').set({ cents }).where('id', '=', id).execute())
      return session
    },
  }
}
