import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { formatLsn, MAX_LSN, parseLsn, roundDownInPageHeader } from './lsn.ts'

const lsns = fc.bigInt({ min: 0n, max: MAX_LSN })

test('an LSN that is formatted and parsed is the same', () => {
  fc.assert(fc.property(lsns, (lsn) => expect(parseLsn(formatLsn(lsn))).toBe(lsn)))
})

test.each([
  ['0/0', 0n],
  ['16/B374D848', 0x16b374d848n],
  ['00000016/0374d848', 0x160374d848n],
  ['FFFFFFFF/FFFFFFFF', MAX_LSN],
])('%s, as Postgres or its driver prints it, is read', (text, lsn) => {
  expect(parseLsn(text)).toBe(lsn)
})

test('an LSN is printed as Postgres prints it: upper case, unpadded', () => {
  expect(formatLsn(0x16_0374d848n)).toBe('16/374D848')
})

test.each(['', '/', '16', '16/', '/16', '0x16/0', '16/B374D8481', '16/G', ' 16/0', '16/0\n', '-1/0', '16/0/0'])(
  '%j is no LSN',
  (text) => {
    expect(() => parseLsn(text)).toThrow(RangeError)
  },
)

const SEGMENT = 16 * 1024 * 1024
const PAGE = 8192n
const segmentStart = BigInt(SEGMENT) * 5n
const pageStart = segmentStart + PAGE * 3n

// Records are aligned to 8 bytes: the first may start right after the header, and the next is at least 8 further.
test.each([
  ['a page’s start', pageStart, pageStart],
  ['inside the short header', pageStart + 8n, pageStart],
  ['the end of the short header', pageStart + 24n, pageStart],
  ['past the short header', pageStart + 25n, pageStart + 25n],
  ['where a long header would end, on a page that has a short one', pageStart + 40n, pageStart + 40n],
  ['the last byte of the page before', pageStart - 1n, pageStart - 1n],
  ['a segment’s start', segmentStart, segmentStart],
  ['inside the long header, past where a short one ends', segmentStart + 32n, segmentStart],
  ['the end of the long header', segmentStart + 40n, segmentStart],
  ['past the long header', segmentStart + 41n, segmentStart + 41n],
  ['the start of the log', 0n, 0n],
])('%s is rounded to the start of its page only within the header', (_, lsn, rounded) => {
  expect(roundDownInPageHeader(lsn, SEGMENT)).toBe(rounded)
})

test('which pages have the long header depends on the size of the segments', () => {
  const lsn = 1024n * 1024n + 32n
  expect(roundDownInPageHeader(lsn, 1024 * 1024)).toBe(1024n * 1024n)
  expect(roundDownInPageHeader(lsn, SEGMENT)).toBe(lsn)
})

test('rounding never goes up, never leaves the page, and done twice is done once', () => {
  fc.assert(
    fc.property(lsns, fc.constantFrom(1, 16, 64, 1024), (lsn, megabytes) => {
      const rounded = roundDownInPageHeader(lsn, megabytes * 1024 * 1024)
      expect(rounded === lsn || (rounded === lsn - (lsn % PAGE) && lsn - rounded <= 40n)).toBe(true)
      expect(roundDownInPageHeader(rounded, megabytes * 1024 * 1024)).toBe(rounded)
    }),
  )
})
