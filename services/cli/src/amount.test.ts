import { expect, test } from '@jest/globals'
import { durationText, parseDuration } from './amount.ts'

test('a duration is read with its unit, and not without', () => {
  expect(['500ms', '30s', '5m', '2h', '7d'].map(parseDuration)).toEqual([500, 30_000, 300_000, 7_200_000, 604_800_000])
  for (const text of ['', '5', '5 m', '-5m', '1.5h', '5w', 's']) expect(parseDuration(text)).toBeUndefined()
  expect(durationText(parseDuration('90s')!)).toBe('90.0 s')
})
