import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { failing } from '../testing/failing-load.ts'
import { ShopContext } from '../testing/shop-context.ts'

const CONTRACT = { staleIfErrorMs: 60_000, earlyRefresh: 0 }

test('a value whose time is over is loaded anew, and served as stale when that fails', async () => {
  await using shop = await ShopContext.open({ ...CONTRACT, ttlMs: 50 })
  await shop.trust()
  const loading = failing()
  const product = (await shop.open()).cache('product', loading)
  const { cents } = (await product.get({ id: 1 }))!
  loading.fails = true
  const expired = async () => (await product.read({ id: 1 })).freshness === 'stale'
  await waitUntil('its time is over', expired, { timeoutMs: 20_000 })
  expect(await product.read({ id: 1 })).toMatchObject({ value: { cents }, doubt: 'expired', from: 'redis' })
  loading.fails = false
  expect(await product.read({ id: 1 })).toMatchObject({ freshness: 'fresh', doubt: null })
})

test('a value that was invalidated is served as stale when its load fails, and is not while it succeeds', async () => {
  await using shop = await ShopContext.open({ ...CONTRACT, retainStaleMs: CONTRACT.staleIfErrorMs })
  await shop.trust()
  const loading = failing()
  const product = (await shop.open()).cache('product', loading)
  await product.get({ id: 1 })
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  loading.fails = true
  expect(await product.read({ id: 1 })).toMatchObject({ freshness: 'stale', doubt: 'retained', value: { cents: 1999 } })
  loading.fails = false
  expect(await product.read({ id: 1 })).toMatchObject({ freshness: 'fresh', value: { cents: 2499 } })
})

test('without such a contract a load that fails is told', async () => {
  await using shop = await ShopContext.open({ retainStaleMs: 60_000 })
  await shop.trust()
  const loading = failing()
  const product = (await shop.open()).cache('product', loading)
  await product.get({ id: 1 })
  await shop.invalidate(1, await shop.setPrice(1, 2499))
  loading.fails = true
  await expect(product.read({ id: 1 })).rejects.toThrow('LOAD_FAILED')
})
