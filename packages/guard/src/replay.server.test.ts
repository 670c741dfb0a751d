import { describe, expect, test } from '@jest/globals'
import { position, version } from '@tidemark/protocol'
import { DEFAULT_TOMBSTONE_LIMITS, type Repair } from './guard.ts'
import { at, commit, KEYSPACE, leaseId, PartitionContext, TTL_MS } from './testing/partition-context.ts'

/** Records of the log, once more, by an operator's hand: only ever fresher (I2, I6). */
const replay = (ctx: PartitionContext, repair: Partial<Repair>) =>
  ctx.guard.replay({ epochStart: null, floors: [], events: [], ...repair }, DEFAULT_TOMBSTONE_LIMITS)
const event = (lsn: number, key = 'k', retainStaleMs = 0) => ({ key, version: commit(lsn), retainStaleMs })

/** A value that Redis should not hold: its invalidation was applied, and something wrote the value back. */
async function forge(ctx: PartitionContext, lsn: number): Promise<void> {
  const cell = `1L${at(lsn).repeat(2)}${'0'.repeat(13)}-forged`
  await ctx.redis.set(ctx.keys.cell('k'), cell, 'PX', TTL_MS)
}

describe('I2: a replayed event', () => {
  test.each([
    ['removes', 0, 'removed'],
    ['retains as stale', 60_000, 'retained'],
  ])('%s a live value that lacks it', async (_, retainStaleMs, outcome) => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.invalidate('k', commit(200))
    await forge(ctx, 150)
    const result = await replay(ctx, { events: [event(200, 'k', retainStaleMs)] })
    expect(result).toEqual({ code: 'replayed', outcomes: [outcome] })
    expect((await ctx.guard.look('k')).cell?.state).not.toBe('live')
  })

  test('keeps what covers it, and is absent where nothing is', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(300))
    const result = await replay(ctx, { events: [event(200), event(200, 'x')] })
    expect(result).toEqual({ code: 'replayed', outcomes: ['kept', 'absent'] })
    expect((await ctx.guard.look('k')).cell?.payload.toString()).toBe('value')
  })

  test('is remembered, so that no fill brings back what lacks it', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const id = await ctx.lease('k')
    await replay(ctx, { events: [event(200)] })
    const value = { label: { low: at(200), high: at(200) }, loadedAt: null, ttlMs: TTL_MS, payload: Buffer.from('') }
    expect(await ctx.guard.fill('k', KEYSPACE, id, value)).toEqual({ code: 'stale', required: at(201) })
  })

  test('beyond the newest raises that, or an evicted generation could hold what the horizon does not cover', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await replay(ctx, { events: [event(900)] })
    expect((await ctx.view()).newest).toBe(commit(900))
    await ctx.redis.del(ctx.keys.generations[0]!)
    const lease = await ctx.guard.lease('k', KEYSPACE, leaseId(1), 1_000, null)
    expect(lease).toMatchObject({ code: 'granted', required: at(901) })
  })
})

describe('I6: a replay', () => {
  test('leaves watermark, beat, offset, epoch and horizon where they are', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const before = await ctx.view()
    await replay(ctx, {
      epochStart: position(1, 5n),
      floors: [{ keyspace: 'x', position: at(50) }],
      events: [event(90)],
    })
    expect(await ctx.view()).toEqual({ ...before, floors: { '*': at(100), x: at(50) }, newest: commit(90) })
  })

  test('leaves a newer tombstone and a higher floor', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.apply({ events: [event(300)], floors: [{ keyspace: KEYSPACE, position: at(250) }] })
    await replay(ctx, { events: [event(200)], floors: [{ keyspace: KEYSPACE, position: at(120) }] })
    expect(await ctx.tombstones(0)).toEqual({ k: commit(300) })
    expect((await ctx.view()).floors[KEYSPACE]).toBe(at(250))
  })

  test('leaves a gap open', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.guard.declareGap(9n, 'offset gone', ctx.offset, 0)
    expect(await replay(ctx, { events: [event(200)] })).toEqual({ code: 'replayed', outcomes: ['absent'] })
    expect(await ctx.view()).toMatchObject({ gap: 'offset gone', watermark: at(100) })
  })

  test('raises a floor', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await replay(ctx, { floors: [{ keyspace: KEYSPACE, position: at(500) }] })
    expect((await ctx.view()).floors).toEqual({ '*': at(100), [KEYSPACE]: at(500) })
  })
})

describe('epochs of a replay', () => {
  test('one that was abandoned is refused, event by event', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.apply({ epochStart: position(2, 50n) })
    await ctx.store('k', position(2, 55n))
    const events = [event(900), { ...event(0), version: version(2, 52n) }]
    const repair = { events, epochStart: at(990), floors: [{ keyspace: KEYSPACE, position: at(950) }] }
    expect(await replay(ctx, repair)).toEqual({ code: 'replayed', outcomes: ['old-epoch', 'kept'] })
    expect((await ctx.view()).floors).toEqual({ '*': position(2, 50n) })
  })

  test.each([
    ['an event', { events: [event(200), { ...event(0), version: version(2, 1n) }] }],
    ['a floor', { events: [event(200)], floors: [{ keyspace: KEYSPACE, position: position(2, 1n) }] }],
    ['the start', { events: [event(200)], epochStart: position(2, 1n) }],
  ])('%s of one that the worker has yet to adopt is refused, and nothing is applied', async (_, repair) => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(150))
    const before = [await ctx.redis.get(ctx.keys.view), await ctx.raw('k')]
    expect(await replay(ctx, repair)).toEqual({ code: 'epoch-unannounced' })
    expect([await ctx.redis.get(ctx.keys.view), await ctx.raw('k')]).toEqual(before)
  })

  test('the start of the present one is its floor again', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await replay(ctx, { epochStart: at(120) })
    expect((await ctx.view()).floors).toEqual({ '*': at(120) })
  })
})

test('I3: without a view nothing is replayed', async () => {
  await using ctx = await PartitionContext.empty()
  expect(await replay(ctx, { events: [event(200)] })).toEqual({ code: 'view-missing' })
  expect(await ctx.tombstones(0)).toEqual({})
})
