import { expect, test } from '@jest/globals'
import { valueText } from './value-text.ts'

const NOW_MS = 1_000_000
const VALUE = { codec: 0, storedAt: NOW_MS - 5_000, costMs: 0, dependencies: 0, bytes: 16 }

test.each([
  [{}, '16 B, JSON, not compressed, stored 5.0 s ago, not by a load, no dependencies'],
  [{ codec: 1 | (3 << 6), bytes: 2_048 }, '2.0 kB, devalue, zstd, stored 5.0 s ago, not by a load, no dependencies'],
  [{ codec: 17 | (2 << 6) }, '16 B, serializer 17, brotli, stored 5.0 s ago, not by a load, no dependencies'],
  [
    { costMs: 12, dependencies: 3 },
    '16 B, JSON, not compressed, stored 5.0 s ago, after a load of 12 ms, dependencies: 3',
  ],
])('of a value is told, without a look at it: %j', (more, text) => {
  expect(valueText({ ...VALUE, ...more }, NOW_MS)).toBe(text)
})

test('a value whose clock is ahead was stored just now', () => {
  expect(valueText({ ...VALUE, storedAt: NOW_MS + 60_000 }, NOW_MS)).toContain('stored 0 ms ago')
})

test('what no reader would decode is said to be that', () => {
  expect(valueText('malformed', NOW_MS)).toBe('not of our format: readers load anew')
})
