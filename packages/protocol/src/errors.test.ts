import { expect, test } from '@jest/globals'
import { isTidemarkError, TidemarkError } from './errors.ts'

test('an error says its code, what happened, how to mend it and what caused it', () => {
  const cause = new Error('ECONNREFUSED')
  const error = new TidemarkError('SERVER_REFUSED', 'the role may not replicate', { mend: 'Grant it', cause })
  expect(error.message).toBe('SERVER_REFUSED: the role may not replicate. Grant it')
  expect(error).toMatchObject({ name: 'TidemarkError', code: 'SERVER_REFUSED', mend: 'Grant it', cause })
})

test('without a cause there is none', () => {
  expect(new TidemarkError('UNPROVABLE', 'no watermark')).not.toHaveProperty('cause')
})

test('whether to try again is a property of the code', () => {
  expect(new TidemarkError('SERVER_UNREACHABLE', '').retriable).toBe(true)
  expect(new TidemarkError('CONFIG_INVALID', '').retriable).toBe(false)
})

test('an error is told by its code, never by its message', () => {
  const error = new TidemarkError('SLOT_LOST', 'gone')
  expect(isTidemarkError(error)).toBe(true)
  expect(isTidemarkError(error, 'SLOT_LOST')).toBe(true)
  expect(isTidemarkError(error, 'SLOT_ACTIVE')).toBe(false)
  expect(isTidemarkError(new Error('SLOT_LOST: gone'), 'SLOT_LOST')).toBe(false)
})
