import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { MAX_LSN } from './lsn.ts'
import {
  after,
  covers,
  ENCODED_LENGTH,
  epochOf,
  isEncoded,
  join,
  lsnOf,
  MAX_EPOCH,
  maxPosition,
  ORIGIN,
  parsePosition,
  position,
  satisfies,
  type Version,
  version,
} from './position.ts'

/** Few epochs and close LSNs beside any at all: what goes wrong goes wrong at neighbours and at the powers of two. */
const epochs = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: MAX_EPOCH }))
const near = (n: bigint) => fc.bigInt({ min: n - 2n, max: n + 2n })
const lsns = fc.oneof(near(4n), near(2n ** 32n), near(2n ** 53n), fc.bigInt({ min: 0n, max: MAX_LSN - 1n }))
const points = fc.tuple(epochs, lsns)
const positions = points.map(([epoch, lsn]) => position(epoch, lsn))
const versions = points.map(([epoch, lsn]) => version(epoch, lsn))

test('encodings stand in the order of epoch, then LSN', () => {
  fc.assert(
    fc.property(points, points, ([epochA, lsnA], [epochB, lsnB]) => {
      const before = epochA < epochB || (epochA === epochB && lsnA < lsnB)
      expect(version(epochA, lsnA) < version(epochB, lsnB)).toBe(before)
      expect(position(epochA, lsnA) < position(epochB, lsnB)).toBe(before)
    }),
    { numRuns: 2_000 },
  )
})

test('epoch and LSN are read back, and every encoding has one width and one case', () => {
  fc.assert(
    fc.property(epochs, lsns, (epoch, lsn) => {
      const p = position(epoch, lsn)
      expect([epochOf(p), lsnOf(p)]).toEqual([epoch, lsn])
      expect(isEncoded(p)).toBe(true)
      expect(p).toHaveLength(ENCODED_LENGTH)
      expect(p).toBe(p.toLowerCase())
      expect(parsePosition(p)).toBe(p)
    }),
  )
})

test.each([
  [-1, 0n],
  [1.5, 0n],
  [MAX_EPOCH + 1, 0n],
  [Number.NaN, 0n],
  [0, -1n],
  [0, MAX_LSN + 1n],
])('epoch %p with LSN %p is out of range', (epoch, lsn) => {
  expect(() => version(epoch, lsn)).toThrow(RangeError)
  expect(() => position(epoch, lsn)).toThrow(RangeError)
})

test.each([
  '',
  '0'.repeat(23),
  '0'.repeat(25),
  'A'.repeat(24),
  'g'.repeat(24),
  `${'0'.repeat(23)}\n`,
  ` ${'0'.repeat(23)}`,
])('%j is no encoding', (text) => {
  expect(isEncoded(text)).toBe(false)
  expect(() => parsePosition(text)).toThrow(RangeError)
})

test('covering is strict: a position does not cover the commit that stands at it', () => {
  fc.assert(fc.property(points, ([epoch, lsn]) => !covers(position(epoch, lsn), version(epoch, lsn))))
})

test('adjacent commits: the end of one covers it, and not the next, whose commit LSN it is', () => {
  const first = version(1, 0x1000n)
  const end = position(1, 0x1080n)
  const second = version(1, 0x1080n)
  expect([covers(end, first), covers(end, second)]).toEqual([true, false])
})

test('after(v) is the smallest position that covers v', () => {
  fc.assert(
    fc.property(versions, positions, (v, p) => {
      expect(covers(after(v), v)).toBe(true)
      expect(covers(p, v)).toBe(p >= after(v))
    }),
  )
})

test('after the last LSN there is nothing, not the first of the next epoch', () => {
  expect(() => after(version(1, MAX_LSN))).toThrow(RangeError)
})

test('a later epoch covers every commit of an earlier one, whatever the LSNs', () => {
  expect(covers(position(2, 0n), version(1, MAX_LSN))).toBe(true)
  expect(covers(position(1, MAX_LSN), version(2, 0n))).toBe(false)
})

test('the origin covers nothing', () => {
  fc.assert(fc.property(versions, (v) => !covers(ORIGIN, v)))
  expect(covers(ORIGIN, version(0, 0n))).toBe(false)
})

test('the largest of positions is one of them, and none is larger', () => {
  fc.assert(
    fc.property(positions, fc.array(positions), (first, rest) => {
      const max = maxPosition(first, ...rest)
      expect([first, ...rest]).toContain(max)
      expect([first, ...rest].every((p) => p <= max)).toBe(true)
    }),
  )
})

test.each([
  ['the same', [1, 5n], [1, 5n], true],
  ['further in the same epoch', [1, 6n], [1, 5n], true],
  ['behind in the same epoch', [1, 4n], [1, 5n], false],
  ['a later epoch that is as far', [2, 5n], [1, 5n], true],
  ['a later epoch that began below: the write is not taken for granted', [2, 4n], [1, 5n], false],
  ['an older epoch, however far', [1, MAX_LSN], [2, 0n], false],
] as const)('%s', (_, [epoch, lsn], [wantedEpoch, wantedLsn], satisfied) => {
  expect(satisfies(position(epoch, lsn), position(wantedEpoch, wantedLsn))).toBe(satisfied)
})

test('satisfying is a partial order that agrees with covering within an epoch', () => {
  fc.assert(
    fc.property(positions, positions, positions, (a, b, c) => {
      expect(satisfies(a, a)).toBe(true)
      if (satisfies(a, b) && satisfies(b, a)) expect(a).toBe(b)
      if (satisfies(a, b) && satisfies(b, c)) expect(satisfies(a, c)).toBe(true)
      if (satisfies(a, b)) expect(a >= b).toBe(true)
      if (epochOf(a) === epochOf(b)) expect(satisfies(a, b)).toBe(a >= b)
    }),
  )
})

test('the join of two positions satisfies both, and is satisfied by whatever satisfies both', () => {
  fc.assert(
    fc.property(positions, positions, positions, (a, b, c) => {
      const both = join(a, b)
      expect(satisfies(both, a) && satisfies(both, b)).toBe(true)
      expect(satisfies(c, both)).toBe(satisfies(c, a) && satisfies(c, b))
    }),
    { numRuns: 1_000 },
  )
})

test('a version does not pass for a position, nor text for either', () => {
  const v: Version = version(1, 1n)
  // @ts-expect-error a version is not a cut
  covers(v, v)
  // @ts-expect-error nor is a position a commit
  after(position(1, 1n))
  // @ts-expect-error text has to be parsed
  maxPosition('000000010000000000000001')
  expect(v).toHaveLength(ENCODED_LENGTH)
})
