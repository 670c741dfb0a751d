import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { dueAt } from './early-refresh.ts'

const STORED = 1_800_000_000_000
const LIFE = { ttlMs: 60_000, softTtlMs: 0, negativeTtlMs: 1_000, earlyRefresh: 1 }

const stored = fc.record({ storedAt: fc.constant(STORED), costMs: fc.integer({ min: 0, max: 10_000 }) })
const life = fc.record({
  ttlMs: fc.integer({ min: 1, max: 3_600_000 }),
  softTtlMs: fc.integer({ min: 0, max: 3_600_000 }),
  negativeTtlMs: fc.integer({ min: 0, max: 60_000 }),
  earlyRefresh: fc.double({ min: 0, max: 10, noNaN: true }),
})
const die = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const moment = fc.integer({ min: -1_000, max: 4_000_000 }).map((ms) => STORED + ms)

/** When it is over, whatever the die says. */
const endOf = ({ ttlMs, softTtlMs }: typeof LIFE) => STORED + (softTtlMs > 0 ? Math.min(softTtlMs, ttlMs) : ttlMs)

test('is the law of XFetch', () => {
  fc.assert(
    fc.property(stored, life, moment, die, (value, contract, now, random) => {
      const aheadMs = -value.costMs * contract.earlyRefresh * Math.log(1 - random)
      const leftMs = endOf(contract) - now - aheadMs
      fc.pre(Math.abs(leftMs) > 0.01) // where the sums of two orders differ
      expect(now >= dueAt(value, contract, false, random)).toBe(leftMs < 0)
    }),
  )
})

test('a value whose time is over is due whatever the die says; one that cost nothing, or with beta 0, only then', () => {
  fc.assert(
    fc.property(stored, life, die, (value, contract, random) => {
      expect(dueAt(value, contract, false, random)).toBeLessThanOrEqual(endOf(contract))
      expect(dueAt({ ...value, costMs: 0 }, contract, false, random)).toBe(endOf(contract))
      expect(dueAt(value, { ...contract, earlyRefresh: 0 }, false, random)).toBe(endOf(contract))
    }),
  )
})

test('it is due no later for a dearer load, a higher beta, a shorter life, or a luckier die', () => {
  fc.assert(
    fc.property(stored, life, die, fc.integer({ min: 1, max: 1_000 }), (value, contract, random, more) => {
      const due = dueAt(value, contract, false, random)
      const dearer = { ...value, costMs: value.costMs + more }
      expect(dueAt(dearer, contract, false, random)).toBeLessThanOrEqual(due)
      const eager = { ...contract, earlyRefresh: contract.earlyRefresh + more }
      expect(dueAt(value, eager, false, random)).toBeLessThanOrEqual(due)
      const short = { ...contract, ttlMs: contract.ttlMs - more }
      expect(dueAt(value, short, false, random)).toBeLessThanOrEqual(due)
      const luckier = Math.min(random + (1 - random) / 2, 1 - Number.EPSILON) // never rounded up to 1, which is no throw
      expect(dueAt(value, contract, false, Math.max(random, luckier))).toBeLessThanOrEqual(due)
    }),
  )
})

test('that there is no such row has a time of its own', () => {
  const value = { storedAt: STORED, costMs: 10 }
  expect(dueAt(value, LIFE, true, 0)).toBe(STORED + 1_000)
  expect(dueAt(value, { ...LIFE, softTtlMs: 500 }, true, 0)).toBe(STORED + 500)
  expect(dueAt(value, { ...LIFE, softTtlMs: 5_000 }, true, 0)).toBe(STORED + 1_000)
})

test.each([1, 2, 5])('a reader is due with probability e^(−left / (cost·%d))', (earlyRefresh) => {
  const draws = 10_000
  for (const leftMs of [10, 100, 250, 1_000]) {
    const now = STORED + LIFE.ttlMs - leftMs
    // Draws spread evenly, so that the share is exact to one of them.
    const due = Array.from({ length: draws }, (_, i) => {
      return now >= dueAt({ storedAt: STORED, costMs: 100 }, { ...LIFE, earlyRefresh }, false, (i + 0.5) / draws)
    }).filter(Boolean).length
    expect(Math.abs(due / draws - Math.exp(-leftMs / (100 * earlyRefresh)))).toBeLessThanOrEqual(1 / draws)
  }
})
