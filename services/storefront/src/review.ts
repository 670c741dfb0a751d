import type { KeyValue } from '@tidemark/protocol'
import type { Connection } from '@tidemark/refill'

export interface Review {
  readonly id: number
  readonly stars: number
  readonly body: string
}

export type NewReview = Omit<Review, 'id'>

const NEWEST = 20

/** The newest reviews of a product; an empty list when it has none. */
export async function loadReviews(db: Connection, { id }: { readonly id: KeyValue }): Promise<Review[]> {
  const { rows } = await db.query<Review>(
    `select id, stars, body from review where product_id = $1 order by id desc limit ${NEWEST}`,
    [id],
  )
  return rows
}

/** False when there is no such product. */
export async function addReview(db: Connection, productId: number, review: NewReview): Promise<boolean> {
  const { rows } = await db.query(
    'insert into review (product_id, stars, body) select id, $2, $3 from product where id = $1 returning id',
    [productId, review.stars, review.body],
  )
  return rows.length === 1
}
