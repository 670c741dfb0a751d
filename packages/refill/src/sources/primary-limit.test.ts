import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { DEFAULT_PRIMARY_LIMIT, PrimaryLimit } from './primary-limit.ts'

const options = fc.record({
  perSecond: fc.integer({ min: 1, max: 1_000 }),
  burst: fc.integer({ min: 1, max: 50 }),
  waitMs: fc.integer({ min: 0, max: 500 }),
})
const pauses = fc.array(fc.nat(100), { minLength: 1, maxLength: 300 })

test('whenever loads ask, those that begin in any stretch of time are no more than burst and rate allow', () => {
  fc.assert(
    fc.property(options, pauses, (limits, waits) => {
      const limit = new PrimaryLimit(limits)
      let now = 0
      const begun: number[] = []
      for (const pause of waits) {
        now += pause
        const waitMs = limit.take(now)
        if (waitMs === null) continue
        expect(waitMs).toBeLessThanOrEqual(limits.waitMs)
        begun.push(now + waitMs)
      }
      for (const [i, from] of begun.entries()) {
        const to = begun.at(-1)!
        const allowed = limits.burst + ((to - from) * limits.perSecond) / 1_000
        expect(begun.length - i).toBeLessThanOrEqual(allowed + 1e-6)
      }
    }),
  )
})

test('nobody is refused whose turn comes in time', () => {
  fc.assert(
    fc.property(options, pauses, (limits, waits) => {
      const limit = new PrimaryLimit(limits)
      let now = 0
      const begun: number[] = []
      for (const pause of waits) {
        now += pause
        const waitMs = limit.take(now)
        if (waitMs !== null) begun.push(now + waitMs)
        else {
          // As many have begun, or will, before the end of the wait, as the rate allows until then.
          const end = now + limits.waitMs
          const full = begun.some(
            (from, i) => begun.length - i + 1 > limits.burst + ((end - from) * limits.perSecond) / 1_000 - 1e-6,
          )
          expect(full).toBe(true)
        }
      }
    }),
  )
})

test('a refusal takes no turn, so that one who comes later is not refused for it', () => {
  const limit = new PrimaryLimit({ perSecond: 10, burst: 1, waitMs: 100 })
  expect([limit.take(0), limit.take(0), limit.take(0), limit.take(0)]).toEqual([0, 100, null, null])
  expect(limit.take(100)).toBe(100)
})

test('without a limit nobody waits', () => {
  const limit = new PrimaryLimit({ ...DEFAULT_PRIMARY_LIMIT, perSecond: Number.POSITIVE_INFINITY })
  expect(Array.from({ length: 5_000 }, () => limit.take(7)).every((waitMs) => waitMs === 0)).toBe(true)
})
