import { expect, test } from '@jest/globals'
import { sumOf } from './metrics-page.ts'

const PAGE = `# HELP cache_stale_refill_total Refills refused.
# TYPE cache_stale_refill_total counter
cache_stale_refill_total{region="eu-west",keyspace="product",source_replica="a"} 3
cache_stale_refill_total{region="eu-west",keyspace="product",source_replica="b"} 4
cache_stale_refill_total{region="eu-west",keyspace="reviews",source_replica="a"} 10
cache_stale_refill_total_other 99
plain_total 7 1700000000000
`

test('samples with the wanted labels are summed, and no others', () => {
  expect(sumOf(PAGE, 'cache_stale_refill_total')).toBe(17)
  expect(sumOf(PAGE, 'cache_stale_refill_total', { keyspace: 'product' })).toBe(7)
  expect(sumOf(PAGE, 'cache_stale_refill_total', { keyspace: 'product', source_replica: 'b' })).toBe(4)
  expect(sumOf(PAGE, 'plain_total')).toBe(7)
})

test('what was never counted is unknown, not zero', () => {
  expect(sumOf(PAGE, 'cache_refill_total')).toBeUndefined()
  expect(sumOf(PAGE, 'cache_stale_refill_total', { keyspace: 'duct' })).toBeUndefined()
})
