import { expect, test } from '@jest/globals'
import { after, type Position } from '@tidemark/protocol'
import { Guard, MAX_REQUIRED_KEYS } from './guard.ts'
import { at, commit, KEYSPACE, leaseId, PartitionContext } from './testing/partition-context.ts'

/** What a label must begin at for a value that is made of keys of other cells too (protocol 6.2). */
const TWO_EACH = { perGeneration: 2, generationMs: 600_000 }

const ask = (...keys: string[]) => keys.map((key) => ({ key, keyspace: KEYSPACE }))

async function required(ctx: PartitionContext, ...keys: string[]): Promise<readonly Position[]> {
  const answer = await ctx.guard.require(ask(...keys))
  return answer.code === 'required' ? answer.required : []
}

test('of each key is its own tombstone, the horizon, or its keyspace’s floor, whichever is furthest', async () => {
  await using ctx = await PartitionContext.open(at(100))
  await ctx.invalidate('k', commit(200))
  expect(await required(ctx, 'k', 'x')).toEqual([at(201), at(100)])
  await ctx.apply({ floors: [{ keyspace: KEYSPACE, position: at(300) }] })
  expect(await required(ctx, 'k')).toEqual([at(300)])
  expect(await ctx.guard.require([{ key: 'k', keyspace: 'other' }])).toMatchObject({ required: [at(201)] })
})

test('comes with the view of the same instant, and for no keys with the view alone', async () => {
  await using ctx = await PartitionContext.open(at(100))
  const view = await ctx.view()
  expect(await ctx.guard.require(ask('k'))).toEqual({ code: 'required', view, required: [at(100)] })
  expect(await ctx.guard.require([])).toEqual({ code: 'required', view, required: [] })
})

test('is what a lease of the key would require, whatever was applied and forgotten', async () => {
  await using ctx = await PartitionContext.open(at(100))
  const keys = ['a', 'b', 'c', 'd', 'e']
  for (let i = 0; i < 23; i++) await ctx.invalidate(keys[(i * i) % 5]!, commit(1_000 + i), 0, TWO_EACH)
  const told = await required(ctx, ...keys)
  for (const [i, key] of keys.entries()) {
    expect(await ctx.guard.lease(key, KEYSPACE, leaseId(i), 1, null)).toMatchObject({ required: told[i] })
  }
})

test('cannot be said without a view, or in a gap', async () => {
  await using none = await PartitionContext.empty()
  expect(await none.guard.require(ask('k'))).toEqual({ code: 'view-missing' })
  await using gap = await PartitionContext.inGap()
  expect(await gap.guard.require(ask('k'))).toEqual({ code: 'gap' })
  await gap.redis.set(gap.keys.view, 'x')
  expect(await gap.guard.require(ask('k'))).toEqual({ code: 'view-missing' })
})

test('I2: tombstones that were evicted count, though nothing of it is saved', async () => {
  await using ctx = await PartitionContext.open(at(100))
  await ctx.invalidate('k', commit(200))
  await ctx.invalidate('x', commit(400))
  await ctx.redis.del(ctx.keys.generations[0]!)
  const before = await ctx.redis.get(ctx.keys.view)
  expect(await required(ctx, 'k', 'never-seen')).toEqual([after(commit(400)), after(commit(400))])
  expect(await ctx.redis.get(ctx.keys.view)).toBe(before)
})

test('bounds the keys of one command', async () => {
  await using ctx = await PartitionContext.open(at(100))
  const names = Array.from({ length: MAX_REQUIRED_KEYS }, (_, i) => `k${i}`)
  expect(await required(ctx, ...names)).toHaveLength(MAX_REQUIRED_KEYS)
  await expect(ctx.guard.require(ask(...names, 'one-more'))).rejects.toThrow('at most 500 keys')
})

test('is answered by a Redis that takes no writes, where a lease is refused', async () => {
  await using ctx = await PartitionContext.open(at(100))
  await ctx.invalidate('k', commit(200))
  await ctx.redis.del(ctx.keys.generations[0]!) // there is something to notice, which another command would save
  const username = `${ctx.prefix}-reader`
  await ctx.redis.call('ACL', 'SETUSER', username, 'on', '>p', '~*', '-@all', '+@read', '+@scripting')
  const redis = ctx.redis.duplicate({ username, password: 'p', lazyConnect: true, enableReadyCheck: false })
  try {
    await redis.connect()
    const reader = new Guard(redis, ctx.keys)
    expect(await reader.require(ask('k'))).toMatchObject({ required: [after(commit(200))] })
    await expect(reader.lease('k', KEYSPACE, leaseId(1), 1, null)).rejects.toThrow(/permission|can't run/i)
  } finally {
    redis.disconnect()
    await ctx.redis.call('ACL', 'DELUSER', username)
  }
})
