const MAX_INT4 = 2 ** 31 - 1
const int4 = { type: 'integer', minimum: 0, maximum: MAX_INT4 }

/** JSON schemas of what requests carry. Postgres would refuse a larger integer in words that are not for customers. */
export const productParams = { type: 'object', required: ['id'], properties: { id: int4 } }

export const newPriceBody = { type: 'object', required: ['priceCents'], properties: { priceCents: int4 } }

export const newReviewBody = {
  type: 'object',
  required: ['stars', 'body'],
  properties: {
    stars: { type: 'integer', minimum: 1, maximum: 5 },
    body: { type: 'string', minLength: 1, maxLength: 2_000 },
  },
}
