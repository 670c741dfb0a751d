import { describe, expect, test } from '@jest/globals'
import { DEFAULT_TOMBSTONE_LIMITS, Guard } from './guard.ts'
import { type RedisClient, Script } from './script.ts'
import { at, commit, KEYSPACE, leaseId, PartitionContext } from './testing/partition-context.ts'

describe('a server that has forgotten the scripts, as after a failover', () => {
  test('is given each of them again', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const forget = async () => await ctx.redis.script('FLUSH')
    await forget()
    expect(await ctx.invalidate('k', commit(200))).toBe('absent')
    await forget()
    expect((await ctx.guard.lease('k', KEYSPACE, leaseId(1), 60_000, null)).code).toBe('granted')
    await forget()
    const value = { label: { low: at(300), high: at(300) }, loadedAt: null, ttlMs: 60_000, payload: Buffer.from('v') }
    expect((await ctx.guard.fill('k', KEYSPACE, leaseId(1), value)).code).toBe('stored')
    await forget()
    await ctx.guard.release('k', leaseId(1))
    await forget()
    expect(await ctx.guard.declareGap(9n, 'offset gone', ctx.offset, 0)).toBe(true)
  })

  test('knows a script by its hash after one command', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.redis.script('FLUSH')
    const { client, sent } = recorded(ctx)
    const release = new Script('release-1')
    await release.run(client, [ctx.keys.cell('k')], [leaseId(1)])
    await release.run(client, [ctx.keys.cell('k')], [leaseId(1)])
    expect(sent).toEqual(['evalsha', 'eval', 'evalsha'])
  })
})

test('an error of a script is the caller’s, and the script is not run a second time', async () => {
  await using ctx = await PartitionContext.open(at(100))
  await ctx.redis.set(ctx.keys.generations[0]!, 'not a hash')
  const { client, sent } = recorded(ctx)
  const event = { key: 'k', version: commit(200), retainStaleMs: 0 }
  const batch = { from: 1n, next: 2n, epochStart: null, floors: [], events: [event], watermark: null }
  await expect(new Guard(client, ctx.keys).apply(batch, DEFAULT_TOMBSTONE_LIMITS)).rejects.toThrow('WRONGTYPE')
  expect(sent).toEqual(['evalsha'])
})

test.each(['apply', 'lease-6', 'fill-6', 'release-1', 'declare_gap-5', 'replay', 'inspect-6'])(
  '%s holds all that it includes',
  (name) => {
    expect(new Script(name).text).not.toContain('@include')
  },
)

/** The context's client, and which of the two commands it was given, in order. */
function recorded(ctx: PartitionContext): { client: RedisClient; sent: string[] } {
  const sent: string[] = []
  const client: RedisClient = {
    mgetBuffer: (...keys) => ctx.redis.mgetBuffer(...keys),
    evalsha: (sha1, numberOfKeys, ...args) => {
      sent.push('evalsha')
      return ctx.redis.evalsha(sha1, numberOfKeys, ...args)
    },
    eval: (text, numberOfKeys, ...args) => {
      sent.push('eval')
      return ctx.redis.eval(text, numberOfKeys, ...args)
    },
  }
  return { client, sent }
}
