import { expect, test } from '@jest/globals'
import { closestName, editDistance } from './edit-distance.ts'

test.each([
  ['', '', 0],
  ['abc', 'abc', 0],
  ['abc', 'abd', 1],
  ['abc', 'ac', 1],
  ['kitten', 'sitting', 3],
  ['', 'abc', 3],
])('%p and %p are %p apart', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance)
  expect(editDistance(b, a)).toBe(distance)
})

test('the closest name is taken, and none when all are far', () => {
  expect(closestName('PORTT', ['HOST', 'PORT'])).toBe('PORT')
  expect(closestName('ADDRESS', ['HOST', 'PORT'])).toBeUndefined()
})
