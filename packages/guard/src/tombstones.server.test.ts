import { describe, expect, test } from '@jest/globals'
import { after, type Position, position, version } from '@tidemark/protocol'
import { DEFAULT_TOMBSTONE_LIMITS } from './guard.ts'
import { GENERATIONS } from './keys.ts'
import { at, commit, KEYSPACE, LEASE_MS, leaseId, PartitionContext, TTL_MS } from './testing/partition-context.ts'

/** A partition's memory of invalidations: it is bounded, and what it forgets the horizon covers (protocol 4; I2). */
const TWO_EACH = { perGeneration: 2, generationMs: 600_000 }
const SLOTS = [...Array(GENERATIONS).keys()]

/** Invalidates k0, k1, ... at 1000, 1001, ..., one batch each. */
async function invalidateMany(ctx: PartitionContext, from: number, count: number): Promise<void> {
  for (let i = from; i < from + count; i++) await ctx.invalidate(`k${i}`, commit(1_000 + i), 0, TWO_EACH)
}

async function sizes(ctx: PartitionContext): Promise<number[]> {
  return await Promise.all(SLOTS.map(async (slot) => Object.keys(await ctx.tombstones(slot)).length))
}

async function requiredOf(ctx: PartitionContext, key: string): Promise<Position | undefined> {
  const result = await ctx.guard.lease(key, KEYSPACE, leaseId(0xbeef), 1, null)
  return result.code === 'granted' ? result.required : undefined
}

describe('generations', () => {
  test('are filled one after another', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await invalidateMany(ctx, 0, 7)
    expect(await sizes(ctx)).toEqual([2, 2, 2, 1])
    expect(await ctx.view()).toMatchObject({ current: 3, horizon: at(100) })
    expect((await ctx.view()).generations).toMatchObject({ 0: { newest: commit(1_001) }, 3: { newest: commit(1_006) } })
  })

  test('I2: when all are full the oldest is dropped, and the horizon covers its newest', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await invalidateMany(ctx, 0, 9)
    expect(await sizes(ctx)).toEqual([1, 2, 2, 2])
    expect(await ctx.view()).toMatchObject({ current: 0, horizon: after(commit(1_001)) })
    expect(await requiredOf(ctx, 'k0')).toBe(after(commit(1_001)))
    expect(await requiredOf(ctx, 'k2')).toBe(after(commit(1_002)))
  })

  test('rotate in the middle of a batch too', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const events = SLOTS.concat(SLOTS, SLOTS).map((_, i) => ({
      key: `k${i}`,
      version: commit(1_000 + i),
      retainStaleMs: 0,
    }))
    await ctx.apply({ events }, TWO_EACH)
    expect(await sizes(ctx)).toEqual([2, 2, 2, 2])
    expect(await ctx.view()).toMatchObject({ current: 1, horizon: after(commit(1_003)) })
  })

  test('never hold more than their bound, however long the stream', async () => {
    await using ctx = await PartitionContext.open(at(100))
    for (let i = 0; i < 60; i++) {
      await invalidateMany(ctx, i, 1)
      expect(Math.max(...(await sizes(ctx)))).toBeLessThanOrEqual(2)
    }
    expect((await ctx.view()).horizon).toBe(after(commit(1_000 + 51)))
  })

  test('follow one another by age, and an old one is dropped like a full one', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const aged = { perGeneration: 1_000, generationMs: 0 }
    for (let i = 0; i < GENERATIONS + 1; i++) await ctx.invalidate(`k${i}`, commit(1_000 + i), 0, aged)
    expect(await sizes(ctx)).toEqual([1, 1, 1, 1])
    expect(await ctx.view()).toMatchObject({ current: 0, horizon: after(commit(1_000)) })
  })

  test('that are young and not full are written to', async () => {
    await using ctx = await PartitionContext.open(at(100))
    for (let i = 0; i < 50; i++) await ctx.invalidate(`k${i}`, commit(1_000 + i), 0, DEFAULT_TOMBSTONE_LIMITS)
    expect(await sizes(ctx)).toEqual([50, 0, 0, 0])
  })

  test('remember the newest event of a key that several of them know', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.invalidate('k', commit(900), 0, TWO_EACH)
    await invalidateMany(ctx, 0, 2)
    await ctx.invalidate('k', commit(1_500), 0, TWO_EACH)
    expect(await requiredOf(ctx, 'k')).toBe(after(commit(1_500)))
  })

  test('drop an event that came once more below the newest, and still the horizon covers all that they held', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.invalidate('newer', commit(2_000), 0, TWO_EACH)
    await ctx.invalidate('older', commit(1_000), 0, TWO_EACH)
    for (let i = 0; i < 7; i++) await ctx.invalidate(`x${i}`, commit(3_000 + i), 0, TWO_EACH)
    expect((await ctx.view()).horizon).toBe(after(commit(2_000)))
  })
})

describe('I2: a generation that was evicted', () => {
  const NEWEST = commit(1_004)
  const evicted = async (slot: number): Promise<PartitionContext> => {
    const ctx = await PartitionContext.open(at(100))
    await ctx.lease('leased-before')
    await invalidateMany(ctx, 0, 5)
    await ctx.redis.del(ctx.keys.generations[slot]!)
    return ctx
  }

  test.each(SLOTS.slice(0, 3))('is noticed by a lease (slot %d)', async (slot) => {
    await using ctx = await evicted(slot)
    expect(await requiredOf(ctx, `k${2 * slot}`)).toBe(after(NEWEST))
    const view = await ctx.view()
    expect(view.horizon).toBe(after(NEWEST))
    expect(view.generations).not.toHaveProperty(String(slot))
  })

  test('is noticed by a fill whose lease was granted before', async () => {
    await using ctx = await evicted(0)
    const value = {
      label: { low: at(1_004), high: at(1_004) },
      loadedAt: null,
      ttlMs: TTL_MS,
      payload: Buffer.from(''),
    }
    const result = await ctx.guard.fill('leased-before', KEYSPACE, leaseId(1), value)
    expect(result).toEqual({ code: 'stale', required: after(NEWEST) })
    expect((await ctx.view()).horizon).toBe(after(NEWEST))
  })

  test('is noticed by a batch, which covers what was there before it and not its own events', async () => {
    await using ctx = await evicted(1)
    await invalidateMany(ctx, 9, 1)
    expect((await ctx.view()).horizon).toBe(after(NEWEST))
    expect(await requiredOf(ctx, 'k9')).toBe(after(commit(1_009)))
  })

  test('is noticed by a batch without events', async () => {
    await using ctx = await evicted(0)
    await ctx.apply({ watermark: { position: at(101), beatMs: 2_000 } })
    expect((await ctx.view()).horizon).toBe(after(NEWEST))
  })

  test('is begun anew when it was the one being written to', async () => {
    await using ctx = await evicted(2)
    await invalidateMany(ctx, 9, 1)
    expect(await sizes(ctx)).toEqual([2, 2, 1, 0])
    expect(await ctx.view()).toMatchObject({ current: 2, horizon: after(NEWEST) })
  })

  test('costs the horizon once: what comes later is remembered by key again', async () => {
    await using ctx = await evicted(0)
    expect(await requiredOf(ctx, 'other')).toBe(after(NEWEST))
    await invalidateMany(ctx, 9, 1)
    expect(await requiredOf(ctx, 'another')).toBe(after(NEWEST))
  })

  test('does not matter once the view is gone too and the gap that follows is closed', async () => {
    await using ctx = await evicted(0)
    await ctx.redis.del(ctx.keys.view)
    await ctx.guard.declareGap(50n, 'view missing', null, 0)
    expect(await sizes(ctx)).toEqual([0, 0, 0, 0])
    await ctx.apply({ from: 50n, watermark: { position: at(2_000), beatMs: 2_000 } })
    expect((await ctx.view()).horizon).toBe(at(2_000))
  })
})

test('a lease does not wait for the tombstones of another epoch', async () => {
  await using ctx = await PartitionContext.open(at(100))
  await ctx.invalidate('k', commit(9_000))
  await ctx.apply({ epochStart: position(2, 50n) })
  const result = await ctx.guard.lease('k', KEYSPACE, leaseId(1), LEASE_MS, null)
  expect(result).toEqual({ code: 'granted', required: position(2, 50n), granted: position(2, 50n) })
  await ctx.invalidate('k', version(2, 60n))
  expect(await ctx.tombstones(0)).toEqual({ k: version(2, 60n) })
})
