import { expect, test } from '@jest/globals'
import { parseSnapshot } from './snapshot.ts'

test('reads a snapshot with and without running transactions, ids beyond 32 bits included', () => {
  expect(parseSnapshot('8589934592:8589934600:8589934592,8589934595')).toEqual({
    xmin: 8589934592n,
    xmax: 8589934600n,
    running: new Set([8589934592n, 8589934595n]),
  })
  expect(parseSnapshot('10:10:')).toEqual({ xmin: 10n, xmax: 10n, running: new Set() })
})

test('anything else is refused', () => {
  expect(() => parseSnapshot('10')).toThrow(RangeError)
})
