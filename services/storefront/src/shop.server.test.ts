import { expect, test } from '@jest/globals'
import { SESSION_NAME as SESSION_HEADER } from '@tidemark/refill/fastify'
import { ShopContext } from './testing/shop-context.ts'

test('I7 before a publisher was here a price is refused, and reviews say that they are not proven', async () => {
  await using context = await ShopContext.open({ announced: false })
  const price = await context.shop.inject('/product/1')
  expect(price.statusCode).toBe(503)
  expect(price.headers['retry-after']).toBe('1')
  expect(price.json()).toMatchObject({ error: { code: 'UNPROVABLE' } })
  const reviews = await context.shop.inject('/product/1/reviews')
  expect(reviews.json()).toMatchObject({ value: [], freshness: 'stale', doubt: 'unannounced', from: 'primary' })
})

test('without a view a price comes from the primary, and says so', async () => {
  await using context = await ShopContext.open({ announced: true })
  const response = await context.shop.inject('/product/1')
  expect(response.statusCode).toBe(200)
  expect(response.headers['cache-control']).toBe('no-store')
  expect(response.json()).toEqual({
    value: { id: 1, name: 'Lamp', priceCents: 1999 },
    freshness: 'fresh',
    doubt: null,
    position: null,
    from: 'primary',
  })
})

test('what is written is read back by whoever brings the session, in a header or a cookie', async () => {
  await using context = await ShopContext.open({ announced: true })
  const put = await context.shop.inject({ method: 'PUT', url: '/product/1/price', payload: { priceCents: 2499 } })
  expect(put.statusCode).toBe(204)
  const token = String(put.headers[SESSION_HEADER])
  for (const headers of [{ [SESSION_HEADER]: token }, { cookie: `${SESSION_HEADER}=${token}` }]) {
    const read = await context.shop.inject({ url: '/product/1', headers })
    expect(read.json()).toMatchObject({ value: { priceCents: 2499 }, freshness: 'fresh' })
    expect(read.headers[SESSION_HEADER]).toMatch(/^[\w-]{72}$/)
  }
})

test('a forged session is as none, and takes nobody’s reads anywhere', async () => {
  await using context = await ShopContext.open({ announced: true })
  const forged = { url: '/product/1', headers: { [SESSION_HEADER]: 'A'.repeat(72) } }
  expect((await context.shop.inject(forged)).json()).toMatchObject({ freshness: 'fresh' })
})

test('a review is added and read', async () => {
  await using context = await ShopContext.open({ announced: true })
  const { shop } = context
  const payload = { stars: 4, body: 'Gives light.' }
  expect((await shop.inject({ method: 'POST', url: '/product/1/reviews', payload })).statusCode).toBe(204)
  expect((await shop.inject('/product/1/reviews')).json()).toMatchObject({ value: [{ id: 1, ...payload }] })
})

test('what is not there is 404, to read and to write', async () => {
  await using context = await ShopContext.open({ announced: true })
  const { shop } = context
  // The second product has no price; the third is not there at all.
  for (const id of [2, 3]) {
    expect((await shop.inject(`/product/${id}`)).statusCode).toBe(404)
    const put = await shop.inject({ method: 'PUT', url: `/product/${id}/price`, payload: { priceCents: 1 } })
    expect(put.statusCode).toBe(404)
  }
  const payload = { stars: 1, body: 'Was not there.' }
  expect((await shop.inject({ method: 'POST', url: '/product/3/reviews', payload })).statusCode).toBe(404)
})

test('a request with a mistake is answered 400, and nothing is written', async () => {
  await using context = await ShopContext.open({ announced: true })
  const { shop, primary } = context
  const put = (payload: object, url = '/product/1/price') => shop.inject({ method: 'PUT', url, payload })
  expect((await shop.inject('/product/lamp')).statusCode).toBe(400)
  expect((await shop.inject(`/product/${2 ** 31}`)).statusCode).toBe(400)
  expect((await put({ priceCents: -1 })).statusCode).toBe(400)
  expect((await put({ priceCents: 1.5 })).statusCode).toBe(400)
  expect((await put({})).statusCode).toBe(400)
  expect((await primary.query('select cents from price')).rows).toEqual([{ cents: 1999 }])
})

test('an error that nobody foresaw is answered without its text, which may hold what is in a row', async () => {
  await using context = await ShopContext.open({ announced: true })
  await context.primary.query(`alter table price add check (cents <> 666)`)
  const put = await context.shop.inject({ method: 'PUT', url: '/product/1/price', payload: { priceCents: 666 } })
  expect(put.statusCode).toBe(500)
  expect(put.json()).toEqual({ error: { code: 'INTERNAL', message: 'the shop failed' } })
})
