import { expect, test } from '@jest/globals'
import type { Connection } from '../sources/database.ts'
import { PRODUCT, type Product, ShopContext } from '../testing/shop-context.ts'
import type { Cache } from './cache.ts'
import type { ReadOptions } from './inquiry.ts'
import type { Route, RouteRequest } from './route.ts'

const tokenKeys = [{ id: 1, secret: 'a secret that has thirty-two bytes' }]
const load = (db: Connection, { id }: { id: unknown }) => db.query<Product>(PRODUCT, [id]).then((r) => r.rows[0])
const broken = (db: Connection) => db.query('select 1/0').then(() => undefined)

type Products = Cache<{ id: number }, Product | undefined>

/** A region whose endpoint reads as it is asked to; `route` is its own way on. */
async function regionOf(shop: ShopContext, loading: typeof load, route?: Route) {
  const tidemark = await shop.open({ tokenKeys, ...(route && { route }) })
  const product: Products = tidemark.cache('product', { load: loading })
  const endpoint = async ({ params, token }: RouteRequest, options: ReadOptions = { mayRoute: false }) => {
    const session = tidemark.session(token)
    const { value, freshness } = await product.read(params as { id: number }, { ...options, session })
    return { value, freshness, token: session.token() }
  }
  return { tidemark, product, endpoint }
}

test('what one region cannot show is asked of another, with the session, which follows what it was handed there', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'route' })
  await shop.trust()
  const there = await regionOf(shop, load)
  const here = await regionOf(shop, broken, { name: 'there', ask: there.endpoint })
  const session = here.tidemark.session()
  await session.write((db) => db.query('update product set cents = 2499 where id = 1'))
  const before = await session.demand()
  const reading = await here.product.read({ id: 1 }, { session })
  expect(reading).toMatchObject({ value: { cents: 2499 }, freshness: 'fresh', from: 'route:there', label: null })
  expect((await session.demand())!.seen > before!.seen).toBe(true)
})

test('what neither region can show is asked of the other once: a read that was passed on is not passed on again', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'route' })
  await shop.trust()
  let asked = 0
  const to = (region: () => typeof here) => async (request: RouteRequest) => {
    asked++
    return region().endpoint(request)
  }
  const there = await regionOf(shop, broken, { name: 'back', ask: to(() => here) })
  const here = await regionOf(shop, broken, { name: 'forth', ask: to(() => there) })
  await expect(here.product.get({ id: 1 })).rejects.toMatchObject({ code: 'UNPROVABLE' })
  expect(asked).toBe(1)
})

test('what another region answers without a token is not handed to a session: nobody knows what it has seen then', async () => {
  await using shop = await ShopContext.open({ whenUnprovable: 'route' })
  await shop.trust()
  const there = { name: 'there', ask: async () => ({ value: { id: 1, cents: 1 }, freshness: 'fresh' as const }) }
  const here = await regionOf(shop, broken, there)
  expect(await here.product.read({ id: 1 })).toMatchObject({ value: { cents: 1 }, from: 'route:there' })
  const session = here.tidemark.session()
  await expect(here.product.get({ id: 1 }, { session })).rejects.toMatchObject({
    code: 'UNPROVABLE',
    cause: { code: 'TOKEN_INVALID' },
  })
})
