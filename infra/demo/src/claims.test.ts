import { expect, test } from '@jest/globals'
import { type Claim, Claims } from './claims.ts'

test('one broken claim breaks the story, and is told with what was seen', () => {
  const told: Claim[] = []
  const claims = new Claims((claim) => told.push(claim))
  claims.claim('water is wet', true, 'wet')
  expect(claims.allHeld).toBe(true)
  claims.claim('the price is new', false, '$19.99')
  claims.claim('the sun shines', true, 'warm')
  expect(claims.allHeld).toBe(false)
  expect(claims.broken).toEqual([{ statement: 'the price is new', held: false, seen: '$19.99' }])
  expect(told).toHaveLength(3)
})

test('a story that claimed nothing has not held', () => {
  expect(new Claims(() => undefined).allHeld).toBe(false)
})
