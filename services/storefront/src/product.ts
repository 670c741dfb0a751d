import type { KeyValue } from '@tidemark/protocol'
import type { Connection } from '@tidemark/refill'

export interface Product {
  readonly id: number
  readonly name: string
  readonly priceCents: number
}

/** Null when there is no such product, or it has no price: that, too, is cached. */
export async function loadProduct(db: Connection, { id }: { readonly id: KeyValue }): Promise<Product | null> {
  const { rows } = await db.query<Product>(
    `select product.id, product.name, price.cents as "priceCents"
     from product join price on price.product_id = product.id where product.id = $1`,
    [id],
  )
  return rows[0] ?? null
}

/** False when there is no such product. */
export async function setPrice(db: Connection, id: number, priceCents: number): Promise<boolean> {
  const { rows } = await db.query('update price set cents = $2 where product_id = $1 returning product_id', [
    id,
    priceCents,
  ])
  return rows.length === 1
}
