import { describe, expect, test } from '@jest/globals'
import { parseSetCookie } from 'cookie'
import { at, ScriptedSessions, TOKEN_KEY } from '../testing/scripted-sessions.ts'
import { Carriage, type CarriageOptions } from './carriage.ts'

const sessions = new ScriptedSessions()
const foreign = new ScriptedSessions([{ id: 9, secret: TOKEN_KEY.secret }]).tokenOf(0x100n)
const forged = new ScriptedSessions([{ ...TOKEN_KEY, secret: 'x'.repeat(32) }]).tokenOf(0x100n)
const carriage = (options?: CarriageOptions) => new Carriage(sessions, options)

/** What is answered to a session that saw something, where the app set these fields. */
function answered(options: CarriageOptions = {}, set: Record<string, string> = {}) {
  const session = sessions.session()
  session.saw(at(0x5000n), null)
  return new Map(carriage(options).answer(session, (name) => set[name]))
}

describe('a request', () => {
  const seen = async (headers: Record<string, string>, options?: CarriageOptions) =>
    (await carriage(options).open(headers).demand())?.seen ?? null

  test('brings its token in the header or the cookie', async () => {
    const token = sessions.tokenOf(0x5000n)
    expect(await seen({ 'tidemark-session': token })).toBe(at(0x5000n))
    expect(await seen({ cookie: `theme=dark; tidemark-session=${token}; lang=en` })).toBe(at(0x5000n))
    expect(await seen({ cookie: `not-tidemark-session=${token}` })).toBeNull()
  })

  test('brings several, and the session is no older than any: answers may have crossed', async () => {
    const [older, newer] = [sessions.tokenOf(0x100n), sessions.tokenOf(0x5000n)]
    for (const [header, cookie] of [
      [older, newer],
      [newer, older],
      [`${newer}, ${older}`, older],
    ])
      expect(await seen({ 'tidemark-session': header!, cookie: `tidemark-session=${cookie}` })).toBe(at(0x5000n))
  })

  test('has a bounded number of tokens read', async () => {
    const many = Array.from({ length: 8 }, () => sessions.tokenOf(0x100n)).join(',')
    expect(await seen({ 'tidemark-session': `${many},${sessions.tokenOf(0x5000n)}` })).toBe(at(0x100n))
  })

  test('is read where the names say, and nowhere else', async () => {
    const token = sessions.tokenOf(0x5000n)
    const options = { header: 'X-Causality', cookie: { name: 'causality' } }
    expect(await seen({ 'x-causality': token }, options)).toBe(at(0x5000n))
    expect(await seen({ cookie: `causality=${token}` }, options)).toBe(at(0x5000n))
    expect(await seen({ 'tidemark-session': token, cookie: `tidemark-session=${token}` }, options)).toBeNull()
    expect(await seen({ 'tidemark-session': token }, { header: false })).toBeNull()
    expect(await seen({ cookie: `tidemark-session=${token}` }, { cookie: false })).toBeNull()
  })

  test.each([
    ['forged', forged],
    ['foreign', foreign],
    ['malformed', 'A'.repeat(71)],
  ])('with a %s token is as one without it, and a good one beside it still counts', async (_, token) => {
    expect(await seen({ 'tidemark-session': token })).toBeNull()
    expect(await seen({ 'tidemark-session': token, cookie: `tidemark-session=${sessions.tokenOf(1n)}` })).toBe(at(1n))
  })

  test.each([forged, foreign, 'A'])('is refused with 400 where that is said', (token) => {
    const open = () => carriage({ invalid: 'refuse' }).open({ 'tidemark-session': token })
    expect(open).toThrow(expect.objectContaining({ code: 'TOKEN_INVALID', statusCode: 400 }))
  })
})

describe('an answer', () => {
  test('hands the token back in a cookie that no script reads, over TLS alone, for as long as it is believed', () => {
    const fields = answered()
    const { value, ...attributes } = parseSetCookie(fields.get('set-cookie')!)
    expect(value).toBe(fields.get('tidemark-session'))
    expect(attributes).toEqual({
      name: 'tidemark-session',
      httpOnly: true,
      secure: true,
      sameSite: 'lax',
      path: '/',
      maxAge: 3_600,
    })
  })

  test('has the attributes that were given', () => {
    const cookie = { name: 'c', secure: false, sameSite: 'strict', path: '/shop', domain: 'shop.example' } as const
    const { name, secure, sameSite, path, domain } = parseSetCookie(answered({ cookie }).get('set-cookie')!)
    expect({ name, secure: secure ?? false, sameSite, path, domain }).toEqual(cookie)
  })

  test('hands nothing back to a session that has no more than what was brought', () => {
    const token = sessions.tokenOf(0x5000n)
    const session = carriage().open({ cookie: `tidemark-session=${token}` })
    session.saw(at(0x4000n), null)
    expect(carriage().answer(session, () => undefined)).toEqual([['vary', 'tidemark-session, cookie']])
    expect(carriage().answer(sessions.session(), () => undefined)).toHaveLength(1)
  })

  test('joins the tokens of answers that crossed', () => {
    const session = carriage().open({ 'tidemark-session': `${sessions.tokenOf(1n)},${sessions.tokenOf(2n)}` })
    expect(new Map(carriage().answer(session, () => undefined)).has('set-cookie')).toBe(true)
  })

  test('varies by what it was asked with, token or not, beside what the app says', () => {
    const vary = (current?: string, options?: CarriageOptions) =>
      carriage(options).answer(null, (name) => (name === 'vary' ? current : undefined))[0]![1]
    expect(vary()).toBe('tidemark-session, cookie')
    expect(vary('Accept-Encoding')).toBe('Accept-Encoding, tidemark-session, cookie')
    expect(vary('Cookie')).toBe('Cookie, tidemark-session')
    expect(vary('*')).toBe('*')
    expect(vary(undefined, { cookie: false })).toBe('tidemark-session')
  })

  test.each([
    [undefined, 'private, no-cache'],
    ['no-store', 'no-store'],
    ['private, max-age=5', 'private, max-age=5'],
    ['max-age=60', 'private, max-age=60'],
    ['public, max-age=60, s-maxage=600', 'private, max-age=60'],
  ])('with a token in it is for no shared cache: %s becomes %s', (current, expected) => {
    expect(answered({}, current === undefined ? {} : { 'cache-control': current }).get('cache-control')).toBe(expected)
  })
})

test('without keys to sign with the app does not start', () => {
  expect(() => new Carriage(new ScriptedSessions([]))).toThrow(/TOKEN_INVALID.*Give tokenKeys/)
})
