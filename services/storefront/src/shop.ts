import type { KeyValue, Source } from '@tidemark/protocol'
import type { Cache, Session, Tidemark } from '@tidemark/refill'
import { tidemarkSession } from '@tidemark/refill/fastify'
import Fastify, { type FastifyBaseLogger, type FastifyReply, LogController } from 'fastify'
import type source from '../tidemark.config.ts'
import { answerError } from './error-answer.ts'
import { loadProduct, setPrice } from './product.ts'
import { addReview, loadReviews, type NewReview } from './review.ts'
import { newPriceBody, newReviewBody, productParams } from './shop-schema.ts'

type ShopKeys = typeof source extends Source<infer Keys> ? Keys : never

export interface ShopOptions {
  readonly tidemark: Tidemark<ShopKeys>
  readonly log: FastifyBaseLogger
}

interface OfProduct {
  Params: { id: number }
}

const MAX_BODY_BYTES = 16_384

/**
 * The shop of one region. Every request belongs to a session: what it read or wrote is in the token that comes back
 * with the answer, and whoever brings that token, to whichever region, is shown nothing older.
 */
export function buildShop({ tidemark, log }: ShopOptions) {
  const shop = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_BODY_BYTES,
  })
  const products = tidemark.cache('product', { load: loadProduct })
  const reviews = tidemark.cache('reviews', { load: loadReviews })

  shop.setErrorHandler(answerError)
  // An example is served without TLS; where there is TLS, leave the cookie as it is.
  shop.register(tidemarkSession, { tidemark, cookie: { secure: false } })
  // The cache behind this shop can prove what it serves; one in a browser could not.
  shop.addHook('onSend', async (_, reply) => void reply.header('cache-control', 'no-store'))

  shop.get<OfProduct>('/product/:id', { schema: { params: productParams } }, (request, reply) =>
    answerRead(products, request.params, request.tidemark, reply),
  )

  shop.get<OfProduct>('/product/:id/reviews', { schema: { params: productParams } }, (request, reply) =>
    answerRead(reviews, request.params, request.tidemark, reply),
  )

  shop.put<OfProduct & { Body: { priceCents: number } }>(
    '/product/:id/price',
    { schema: { params: productParams, body: newPriceBody } },
    async ({ params, body, tidemark: session }, reply) => {
      const found = await session.write((db) => setPrice(db, params.id, body.priceCents))
      return reply.code(found ? 204 : 404).send()
    },
  )

  shop.post<OfProduct & { Body: NewReview }>(
    '/product/:id/reviews',
    { schema: { params: productParams, body: newReviewBody } },
    async ({ params, body, tidemark: session }, reply) => {
      const found = await session.write((db) => addReview(db, params.id, body))
      return reply.code(found ? 204 : 404).send()
    },
  )

  return shop
}

/** The value, and how much is known of it: an app need not show that, an example must. */
async function answerRead<Value>(
  cache: Cache<{ readonly id: KeyValue }, Value>,
  params: { readonly id: number },
  session: Session,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { value, freshness, doubt, position, from } = await cache.read(params, { session })
  return reply.code(value === null ? 404 : 200).send({ value, freshness, doubt, position, from })
}
