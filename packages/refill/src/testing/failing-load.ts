import type { Connection } from '../sources/database.ts'
import { PRODUCT, type Product } from './shop-context.ts'

/** A load that fails while it is told to. */
export function failing() {
  const loading = {
    fails: false,
    load: async (db: Connection, { id }: { id: unknown }) => {
      if (loading.fails) throw new Error('the load fails')
      return (await db.query<Product>(PRODUCT, [id])).rows[0]
    },
  }
  return loading
}
