import { expect, test } from '@jest/globals'
import { tagKey } from './tag.ts'

test('a tag’s key is written as a key’s value is', () => {
  expect(tagKey('summer sale: 50%')).toBe('tag:summer%20sale%3A%2050%25')
})

test('a tag that no key can name is refused', () => {
  expect(() => tagKey('x'.repeat(1024))).toThrow(/KEY_PARAMS_INVALID/)
  expect(() => tagKey('\ud800')).toThrow(/KEY_PARAMS_INVALID/)
})
