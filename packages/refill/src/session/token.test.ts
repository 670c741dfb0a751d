import { describe, expect, test } from '@jest/globals'
import { position } from '@tidemark/protocol'
import fc from 'fast-check'
import { decodeToken, encodeToken, type TokenContent, type TokenKey } from './token.ts'

const NEW: TokenKey = { id: 2, secret: 'the newer secret has thirty-two bytes' }
const OLD: TokenKey = { id: 1, secret: 'the older secret has thirty-two bytes' }
const NOW = 1_800_000_000_000
const HOUR = 3_600_000
const CONTENT: TokenContent = {
  systemIdentifier: '7512345678901234567',
  own: position(3, 0x16_b374_d848n),
  seen: position(4, 0x16_b374_d000n),
}

const positions = fc
  .tuple(fc.integer({ min: 0, max: 0xffff_ffff }), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }))
  .map(([epoch, lsn]) => position(epoch, lsn))

const INVALID = expect.objectContaining({ code: 'TOKEN_INVALID' })
const refused = (token: string, keys: readonly TokenKey[] = [NEW, OLD], now = NOW) =>
  expect(() => decodeToken(token, keys, now, HOUR)).toThrow(INVALID)

describe('a token', () => {
  test('says what was put into it', () => {
    const contents = fc.record({
      systemIdentifier: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(String),
      own: positions,
      seen: positions,
    })
    fc.assert(
      fc.property(contents, (content) => {
        expect(decodeToken(encodeToken(content, [NEW], NOW), [NEW], NOW, HOUR)).toEqual(content)
      }),
    )
  })

  test('is 72 characters that a cookie, a header and a URL carry as they are', () => {
    expect(encodeToken(CONTENT, [NEW], NOW)).toMatch(/^[A-Za-z0-9_-]{72}$/)
  })

  test('is signed by the first key and verified by all, so that keys can be rotated', () => {
    const before = encodeToken(CONTENT, [OLD], NOW)
    expect(decodeToken(before, [NEW, OLD], NOW, HOUR)).toEqual(CONTENT)
    const rotated = encodeToken(CONTENT, [NEW, OLD], NOW)
    expect(decodeToken(rotated, [NEW], NOW, HOUR)).toEqual(CONTENT)
    refused(rotated, [OLD])
  })

  test('cannot be made without a key, and the error says what to give', () => {
    expect(() => encodeToken(CONTENT, [], NOW)).toThrow(/TOKEN_INVALID.*Give tokenKeys/)
  })

  test('is accepted to the end of its age, across a second’s rounding, and not beyond', () => {
    const token = encodeToken(CONTENT, [NEW], NOW)
    expect(decodeToken(token, [NEW], NOW + HOUR, HOUR)).toEqual(CONTENT)
    refused(token, [NEW], NOW + HOUR + 1)
  })

  test('of a machine whose clock is ahead is accepted', () => {
    expect(decodeToken(encodeToken(CONTENT, [NEW], NOW + 5_000), [NEW], NOW, HOUR)).toEqual(CONTENT)
  })
})

describe('a token is refused', () => {
  const token = encodeToken(CONTENT, [NEW], NOW)

  test('when any one bit of it was flipped', () => {
    const bytes = Buffer.from(token, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = Buffer.from(bytes)
      forged[bit >> 3]! ^= 1 << (bit & 7)
      refused(forged.toString('base64url'))
    }
  })

  test('when it was signed with another secret under the same key id', () => {
    refused(encodeToken(CONTENT, [{ ...NEW, secret: OLD.secret }], NOW))
  })

  test('when nobody here knows the key id', () => {
    refused(encodeToken(CONTENT, [{ ...NEW, id: 9 }], NOW))
    refused(token, [])
  })

  test('when it was cut short anywhere', () => {
    for (let length = 0; length < token.length; length++) refused(token.slice(0, length))
  })

  test.each([
    ['an empty text', ''],
    ['two tokens', token + token],
    ['something behind it', `${token}=`],
    ['a line break in it', `${token.slice(0, 10)}\n${token.slice(10)}`],
    ['another alphabet', `+/${token.slice(2)}`],
    ['a text of the right length', 'é'.repeat(72)],
  ])('when it is %s', (_, text) => refused(text))

  test('whatever text it is, with TOKEN_INVALID and nothing else', () => {
    fc.assert(fc.property(fc.string({ maxLength: 200, unit: 'binary' }), (text) => refused(text)))
  })

  test('with a message that shows neither the secret nor the token', () => {
    const thrown = (() => {
      try {
        decodeToken(`${token.slice(0, 71)}${token.endsWith('A') ? 'B' : 'A'}`, [NEW], NOW, HOUR)
      } catch (error) {
        return String((error as Error).stack)
      }
      return ''
    })()
    expect(thrown).toContain('TOKEN_INVALID')
    expect(thrown).not.toContain(token.slice(0, 16))
    expect(thrown).not.toContain(String(NEW.secret))
  })
})
