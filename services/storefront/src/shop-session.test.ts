import { expect, test } from '@jest/globals'
import { tokenOf } from './shop-session.ts'

test('the header carries the token', () => {
  expect(tokenOf({ 'tidemark-session': 'abc-_1' })).toBe('abc-_1')
})

test('without the header the cookie of that name does', () => {
  expect(tokenOf({ cookie: 'tidemark-session=abc-_1' })).toBe('abc-_1')
  expect(tokenOf({ cookie: 'theme=dark; tidemark-session=abc-_1; lang=en' })).toBe('abc-_1')
  expect(tokenOf({ cookie: 'tidemark-session=old', 'tidemark-session': 'new' })).toBe('new')
})

test('a cookie that only ends in that name is another', () => {
  expect(tokenOf({ cookie: 'not-tidemark-session=abc' })).toBeUndefined()
  expect(tokenOf({})).toBeUndefined()
})
