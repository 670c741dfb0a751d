import { expect, test } from '@jest/globals'
import { goThrough, TROUBLES } from './trouble.ts'
import { expectBounded } from './trouble-expectations.ts'

test('I7 while Redis is stopped, paused, read-only or full calls are bounded, and so is the primary’s load', async () => {
  const { healthy, troubled } = await goThrough(TROUBLES, 1_200)
  expect(healthy.ends['fresh from redis']).toBeGreaterThan(0)
  for (const [trouble, report] of troubled) expectBounded(healthy, trouble, report)
}, 120_000)
