import { describe, expect, test } from '@jest/globals'
import type { RedisClient } from '@tidemark/guard'
import { waitUntil } from '@tidemark/local'
import { defineSource, type ErrorCode, isTidemarkError, position } from '@tidemark/protocol'
import type { TidemarkOptions } from './options.ts'
import type { TokenKey } from './session/token.ts'
import { SilentPool, UnreachablePool } from './testing/scripted-pools.ts'
import { openTidemark } from './tidemark.ts'

const source = defineSource({
  name: 'shop',
  keyspaces: { product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } },
})
const SECRET = 'a secret that has thirty-two bytes'

/** A Redis that answers no command at all. */
const silentRedis: RedisClient = {
  evalsha: () => new Promise(() => undefined),
  eval: () => new Promise(() => undefined),
  mgetBuffer: () => new Promise(() => undefined),
}

const open = (options: Partial<TidemarkOptions<{ product: 'product:{id}' }>> = {}) =>
  openTidemark({ source, redis: silentRedis, primary: new UnreachablePool(), ...options })

function isRefused(open: () => unknown): boolean {
  try {
    open()
    return false
  } catch (error) {
    return isTidemarkError(error, 'TOKEN_INVALID')
  }
}

const coded = (code: ErrorCode) => expect.objectContaining({ code })

describe('opening', () => {
  test('connects to nothing', async () => {
    const primary = new SilentPool()
    await open({ primary })
    expect(primary.asked).toBe(0)
  })

  test('refuses token keys that would not protect, all mistakes at once', async () => {
    const tokenKeys: TokenKey[] = [
      { id: 1, secret: SECRET },
      { id: 256, secret: 'short' },
      { id: 1, secret: Buffer.alloc(31) },
      { id: 1.5, secret: SECRET },
    ]
    await expect(open({ tokenKeys })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/\[1\]\.id.*\[1\]\.secret.*\[2\]\.secret.*\[3\]\.id.*\[2\]\.id: is given twice/s),
    })
    await expect(open({ tokenKeys })).rejects.not.toThrow('short')
  })
})

test('a keyspace that the source does not have is refused, and those it has are named', async () => {
  const tidemark = (await open()) as unknown as { cache(name: string, options: object): unknown }
  expect(() => tidemark.cache('porduct', { load: async () => 1 })).toThrow(/KEYSPACE_UNKNOWN.*It has product/)
})

test.each([
  ['missing', {}],
  ['a fraction', { id: 1.5 }],
  ['null', { id: null }],
  ['longer than a key may be', { id: 'x'.repeat(2_000) }],
])('a parameter that is %s is refused before anything is asked', async (_, params) => {
  const product = (await open()).cache('product', { load: async () => 1 })
  await expect(product.get(params as { id: number })).rejects.toEqual(coded('KEY_PARAMS_INVALID'))
})

test('a session is opened by a token of any of the keys, and no other', async () => {
  const [older, newer] = [
    { id: 1, secret: SECRET },
    { id: 2, secret: Buffer.alloc(32, 7) },
  ]
  const session = (await open({ tokenKeys: [older] })).session()
  session.saw(position(1, 77n), null)
  const rotated = await open({ tokenKeys: [newer, older] })
  expect(await rotated.session(session.token()).demand()).toMatchObject({ seen: position(1, 77n) })
  const elsewhere = await open({ tokenKeys: [newer] })
  expect(() => elsewhere.session(session.token())).toThrow(coded('TOKEN_INVALID'))
  const brief = await open({ tokenKeys: [older], tokenMaxAgeMs: 1 })
  const token = session.token()
  await waitUntil('the token is too old', () => isRefused(() => brief.session(token)), { timeoutMs: 5_000 })
})

test('without token keys a session lives in this process, and cannot leave it', async () => {
  const session = (await open()).session()
  expect(() => session.token()).toThrow(/TOKEN_INVALID.*Give tokenKeys/)
})

test('with neither Redis nor a database a read fails in bounded time, and says why', async () => {
  const product = (await open({ timings: { redisTimeoutMs: 20 } })).cache('product', { load: async () => 1 })
  const start = performance.now()
  await expect(product.get({ id: 1 })).rejects.toMatchObject({ code: 'UNPROVABLE', cause: { code: 'ECONNREFUSED' } })
  expect(performance.now() - start).toBeLessThan(5_000)
})
