import { expect, test } from '@jest/globals'
import { ORIGIN, position } from '@tidemark/protocol'
import { parsePositionText, positionText } from './position-text.ts'

test('a position is read as it is printed, and as a view holds it', () => {
  const at = position(3, 0x16_b374_d848n)
  expect(positionText(at)).toBe('3/16/B374D848')
  expect([parsePositionText('3/16/B374D848'), parsePositionText(at), parsePositionText('0/0/0')]).toEqual([
    at,
    at,
    ORIGIN,
  ])
  for (const text of ['', '16/B374D848', '3', '4294967296/0/0', 'x/0/0', '3/0/123456789']) {
    expect(parsePositionText(text)).toBeUndefined()
  }
})
