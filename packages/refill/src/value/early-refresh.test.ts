import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Ageing, isDue } from './early-refresh.ts'

const STORED = 1_800_000_000_000
const ageing = fc.record({
  storedAt: fc.constant(STORED),
  costMs: fc.integer({ min: 0, max: 10_000 }),
  lifeMs: fc.integer({ min: 1, max: 3_600_000 }),
  beta: fc.double({ min: 0, max: 10, noNaN: true }),
})
const die = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const moment = fc.integer({ min: -1_000, max: 4_000_000 }).map((ms) => STORED + ms)

/** As the paper has it, with the draw turned round: `now − δ·β·ln(rand) ≥ expiry`. */
test('is the law of XFetch', () => {
  fc.assert(
    fc.property(ageing, moment, die, (value, now, random) => {
      const law = now - value.costMs * value.beta * Math.log(1 - random) >= value.storedAt + value.lifeMs
      expect(isDue(value, now, random)).toBe(law)
    }),
  )
})

test('a value whose time is over is due whatever the draw, and one that costs nothing only then', () => {
  fc.assert(
    fc.property(ageing, die, (value, random) => {
      const end = STORED + value.lifeMs
      expect(isDue(value, end, random)).toBe(true)
      expect(isDue({ ...value, costMs: 0 }, end - 1, random)).toBe(false)
      expect(isDue({ ...value, beta: 0 }, end - 1, random)).toBe(false)
    }),
  )
})

test('what is due stays so: later, for a dearer load, for a higher beta, for a shorter life', () => {
  fc.assert(
    fc.property(ageing, moment, die, fc.integer({ min: 1, max: 1_000 }), (value, now, random, more) => {
      fc.pre(isDue(value, now, random))
      expect(isDue(value, now + more, random)).toBe(true)
      expect(isDue({ ...value, costMs: value.costMs + more }, now, random)).toBe(true)
      expect(isDue({ ...value, beta: value.beta + more }, now, random)).toBe(true)
      expect(isDue({ ...value, lifeMs: value.lifeMs - more }, now, random)).toBe(true)
    }),
  )
})

test.each([1, 2, 5])('a reader is due with probability e^(−left / (cost·%d))', (beta) => {
  const draws = 10_000
  const value: Ageing = { storedAt: STORED, costMs: 100, lifeMs: 60_000, beta }
  for (const leftMs of [10, 100, 250, 1_000]) {
    const now = STORED + value.lifeMs - leftMs
    // Draws spread evenly, so that the share is exact to one of them.
    const due = Array.from({ length: draws }, (_, i) => isDue(value, now, (i + 0.5) / draws)).filter(Boolean).length
    expect(Math.abs(due / draws - Math.exp(-leftMs / (100 * beta)))).toBeLessThanOrEqual(1 / draws)
  }
})
