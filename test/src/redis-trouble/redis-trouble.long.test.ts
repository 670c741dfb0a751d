import { expect, test } from '@jest/globals'
import { goThrough, TROUBLES } from './trouble.ts'
import { expectBounded } from './trouble-expectations.ts'

test('I7 for half a minute each Redis is stopped, paused, read-only and full: calls and the primary’s load stay bounded', async () => {
  const { healthy, troubled } = await goThrough(TROUBLES, 30_000)
  expect(healthy.ends['fresh from redis']).toBeGreaterThan(0)
  for (const [trouble, report] of troubled) expectBounded(healthy, trouble, report)
})
