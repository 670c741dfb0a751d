import { describe, expect, test } from '@jest/globals'
import { type Position, position } from '@tidemark/protocol'
import fc from 'fast-check'
import { inOrder, type Known, LOOK_AGAIN_MS, learned, UNKNOWN } from './replica-choice.ts'

const at = (lsn: number) => position(1, BigInt(lsn))
const NOW = 1_000_000

const recent = fc.integer({ min: NOW - LOOK_AGAIN_MS + 1, max: NOW })
const knownAt = (askedAt: fc.Arbitrary<number | null>): fc.Arbitrary<Known> =>
  fc.record({
    position: fc.option(fc.nat(50).map(at)),
    latencyMs: fc.nat(20),
    askedAt,
  })
const replicas = (askedAt: fc.Arbitrary<number | null>) => fc.array(knownAt(askedAt), { maxLength: 8 })
const wanted = fc.nat(50).map(at)

const order = (all: readonly Known[], needed: Position) => inOrder(all, (p) => p >= needed, NOW)

describe('replicas are asked', () => {
  test('each once, whatever is known of them', () => {
    const any = fc.option(fc.integer({ min: 0, max: NOW }))
    fc.assert(
      fc.property(replicas(any), wanted, (all, needed) => {
        expect([...order(all, needed)].sort((a, b) => a - b)).toEqual(all.map((_, i) => i))
      }),
    )
  })

  test('those that stood far enough first and the fastest of them before all, then the furthest ahead', () => {
    fc.assert(
      fc.property(replicas(recent), wanted, (all, needed) => {
        const asked = order(all, needed).map((i) => all[i]!)
        const isEnough = (one: Known) => one.position !== null && one.position >= needed
        for (const [i, next] of asked.slice(1).entries()) {
          const one = asked[i]!
          expect(isEnough(one) || !isEnough(next)).toBe(true)
          if (isEnough(one) && isEnough(next)) expect(one.latencyMs).toBeLessThanOrEqual(next.latencyMs)
          if (!isEnough(one) && !isEnough(next)) expect((one.position ?? '') >= (next.position ?? '')).toBe(true)
        }
      }),
    )
  })

  test('one at a time out of that order: the one that was asked longest ago, if that is long ago', () => {
    const any = fc.option(fc.integer({ min: 0, max: NOW }))
    fc.assert(
      fc.property(replicas(any), wanted, (all, needed) => {
        const longAgo = (one: Known) => NOW - (one.askedAt ?? Number.NEGATIVE_INFINITY) >= LOOK_AGAIN_MS
        const asked = order(all, needed)
        const oldest = Math.min(...all.map((one) => one.askedAt ?? Number.NEGATIVE_INFINITY))
        if (all.some(longAgo)) expect(all[asked[0]!]!.askedAt ?? Number.NEGATIVE_INFINITY).toBe(oldest)
        const settled = all.map((one) => ({ ...one, askedAt: NOW }))
        const rest = (indices: number[]) => indices.filter((i) => i !== asked[0])
        expect(rest(asked)).toEqual(rest(order(settled, needed)))
      }),
    )
  })
})

test('however fast the others are, each replica is looked at again, and no more than one load in LOOK_AGAIN_MS pays for it', () => {
  const slow = { position: at(10), latencyMs: 500, askedAt: NOW }
  const fast = { position: at(10), latencyMs: 1, askedAt: NOW }
  const all: Known[] = [slow, fast]
  const asked: number[] = []
  for (let now = NOW; now < NOW + 10 * LOOK_AGAIN_MS; now += 10) {
    const first = inOrder(all, () => true, now)[0]!
    all[first] = { ...all[first]!, askedAt: now }
    if (first === 0) asked.push(now)
  }
  expect(asked.length).toBe(9)
  expect(Math.min(...asked.slice(1).map((now, i) => now - asked[i]!))).toBeGreaterThanOrEqual(LOOK_AGAIN_MS)
})

describe('what is known', () => {
  test('is the first answer, then an average in which it fades', () => {
    const first = learned(UNKNOWN, at(10), 100)
    expect(first).toEqual({ position: at(10), latencyMs: 100, askedAt: null })
    expect(learned(first, at(20), 0)).toMatchObject({ position: at(20), latencyMs: 80 })
  })

  test('of a position goes on, and not back when answers come in another order', () => {
    const here = learned(UNKNOWN, at(20), 1)
    expect(learned(here, at(10), 1).position).toBe(at(20))
    // Except to where another epoch begins.
    expect(learned(here, position(2, 5n), 1).position).toBe(position(2, 5n))
  })
})
