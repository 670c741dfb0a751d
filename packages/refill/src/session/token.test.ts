import { describe, expect, test } from '@jest/globals'
import { position } from '@tidemark/protocol'
import fc from 'fast-check'
import { decodeToken, encodeToken, type TokenContent, type TokenFlaw, type TokenKey, tokenInvalid } from './token.ts'

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

const seal = (keys: readonly TokenKey[], source = 'shop') => ({ source, keys, maxAgeMs: HOUR })
const encode = (content: TokenContent, keys: readonly TokenKey[], now = NOW) => encodeToken(content, seal(keys), now)
const decode = (token: string, keys: readonly TokenKey[] = [NEW, OLD], now = NOW) => decodeToken(token, seal(keys), now)
const FLAWS = expect.stringMatching(/^(malformed|foreign|forged|old)$/)
const refused = (token: string, flaw?: TokenFlaw) => expect(decode(token)).toEqual(flaw ?? FLAWS)

describe('a token', () => {
  test('says what was put into it', () => {
    const contents = fc.record({
      systemIdentifier: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(String),
      own: positions,
      seen: positions,
    })
    fc.assert(
      fc.property(contents, (content) => {
        expect(decode(encode(content, [NEW]), [NEW])).toEqual(content)
      }),
    )
  })

  test('is 72 characters that a cookie, a header and a URL carry as they are', () => {
    expect(encode(CONTENT, [NEW])).toMatch(/^[A-Za-z0-9_-]{72}$/)
  })

  test('is signed by the first key and verified by all, so that keys can be rotated', () => {
    expect(decode(encode(CONTENT, [OLD]), [NEW, OLD])).toEqual(CONTENT)
    const rotated = encode(CONTENT, [NEW, OLD])
    expect(decode(rotated, [NEW])).toEqual(CONTENT)
    expect(decode(rotated, [OLD])).toBe('foreign')
  })

  test('cannot be made without a key, and the error says what to give', () => {
    expect(() => encode(CONTENT, [])).toThrow(/TOKEN_INVALID.*Give tokenKeys/)
  })

  test('is accepted to the end of its age, across a second’s rounding, and not beyond', () => {
    const token = encode(CONTENT, [NEW])
    expect(decode(token, [NEW], NOW + HOUR)).toEqual(CONTENT)
    expect(decode(token, [NEW], NOW + HOUR + 1)).toBe('old')
  })

  test('of a machine whose clock is ahead is accepted', () => {
    expect(decode(encode(CONTENT, [NEW], NOW + 5_000), [NEW])).toEqual(CONTENT)
  })
})

describe('a token is refused', () => {
  const token = encode(CONTENT, [NEW])

  test('when any one bit of it was flipped', () => {
    const bytes = Buffer.from(token, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = Buffer.from(bytes)
      forged[bit >> 3]! ^= 1 << (bit & 7)
      refused(forged.toString('base64url'))
    }
  })

  test('when it was signed with another secret under the same key id', () => {
    refused(encode(CONTENT, [{ ...NEW, secret: OLD.secret }]), 'forged')
  })

  test('when nobody here knows the key id', () => {
    refused(encode(CONTENT, [{ ...NEW, id: 9 }]), 'foreign')
    expect(decode(token, [])).toBe('foreign')
  })

  test('when it is of another source, though its key be the same: positions there are none here', () => {
    expect(decodeToken(token, seal([NEW], 'warehouse'), NOW)).toBe('forged')
  })

  test('as forged, not as old, when it is both: nothing of it is believed, its age included', () => {
    const forged = encode(CONTENT, [{ ...NEW, secret: OLD.secret }], NOW - 2 * HOUR)
    refused(forged, 'forged')
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

  test('whatever text it is, and never with an exception', () => {
    fc.assert(fc.property(fc.string({ maxLength: 200, unit: 'binary' }), (text) => refused(text, 'malformed')))
  })

  test.each(['malformed', 'foreign', 'forged', 'old'] as const)('as %s with TOKEN_INVALID', (flaw) => {
    expect(tokenInvalid(flaw)).toMatchObject({ code: 'TOKEN_INVALID', message: expect.stringContaining('new session') })
  })
})
