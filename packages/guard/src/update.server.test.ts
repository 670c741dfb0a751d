import { describe, expect, test } from '@jest/globals'
import { after, type Position, position } from '@tidemark/protocol'
import type { Invalidation } from './guard.ts'
import { at, commit, KEYSPACE, leaseId, PartitionContext, TTL_MS } from './testing/partition-context.ts'

/** A value that is updated in place, to the row as of the event (protocol 5.6; I1, I2). */
const EVENT = commit(100)
const RETAIN_MS = 60_000
const UPDATE_TTL_MS = 7_200_000

type Arrangement = (ctx: PartitionContext) => Promise<unknown>

const live =
  (low: Position, high: Position = low): Arrangement =>
  (ctx) =>
    ctx.store('k', low, high, 'old')
const all =
  (...arrangements: Arrangement[]): Arrangement =>
  async (ctx) => {
    for (const arrange of arrangements) await arrange(ctx)
  }
const retained: Arrangement = all(live(at(50)), (ctx) => ctx.invalidate('k', commit(60), RETAIN_MS))
const invalidated =
  (lsn: number, key = 'k'): Arrangement =>
  (ctx) =>
    ctx.invalidate(key, commit(lsn), RETAIN_MS)
const floored =
  (keyspace: string, lsn: number): Arrangement =>
  (ctx) =>
    ctx.apply({ floors: [{ keyspace, position: at(lsn) }] })
/** The tombstones until 200 are dropped, and the horizon covers them. */
const forgotten: Arrangement = async (ctx) => {
  const tight = { perGeneration: 1, generationMs: 600_000 }
  for (const i of [0, 1, 2, 3, 4]) await ctx.invalidate(`x${i}`, commit(196 + i), 0, tight)
}

function updateTo(text: string, version = EVENT, retainStaleMs = 0): Invalidation {
  const update = { keyspace: KEYSPACE, payload: Buffer.from(text), ttlMs: UPDATE_TTL_MS }
  return { key: 'k', version, retainStaleMs, update }
}

async function outcomeOf(ctx: PartitionContext, event: Invalidation): Promise<string | undefined> {
  const result = await ctx.apply({ events: [event] })
  return result.code === 'applied' ? result.outcomes[0] : result.code
}

const NEW = { state: 'live', label: { low: after(EVENT), high: after(EVENT) }, loadedAt: null }
const isNew = { ...NEW, payload: Buffer.from('new') }

describe('an event that says what the value is now', () => {
  test.each([
    ['an older live value', live(at(50))],
    ['a live value that ends at it', live(at(50), at(100))],
    ['an older retained value', retained],
    ['a live value whose key has no newer event', all(live(at(50)), invalidated(200, 'other'))],
    ['a live value under another keyspace’s floor', all(live(at(50)), floored('other', 500))],
    ['a live value whose floor it just reaches', all(live(at(50)), floored(KEYSPACE, 101))],
  ])('I1 takes the place of %s, labelled by it and by nothing else', async (_, given) => {
    await using ctx = await PartitionContext.open(at(10))
    await given(ctx)
    expect(await outcomeOf(ctx, updateTo('new'))).toBe('updated')
    expect((await ctx.guard.look('k')).cell).toEqual(isNew)
    expect(await ctx.tombstones(0)).toMatchObject({ k: EVENT })
    expect(await ctx.remainingMs('k')).toBeGreaterThan(UPDATE_TTL_MS - 60_000)
  })

  test.each([
    ['nothing', async () => undefined, 'absent', null],
    ['a lease and no value', (ctx: PartitionContext) => ctx.lease('k'), 'absent', null],
    ['a value that may be newer', live(at(50), at(101)), 'removed', null],
    ['a value that has it', live(at(101)), 'kept', 'old'],
    ['something that is no cell', (ctx: PartitionContext) => ctx.redis.set(ctx.keys.cell('k'), 'x'), 'absent', null],
    ['a value below a floor of all beyond it', all(live(at(50)), floored('*', 102)), 'removed', null],
    ['a value below a floor of its keyspace beyond it', all(live(at(50)), floored(KEYSPACE, 102)), 'removed', null],
    ['a value below a horizon beyond it', all(live(at(50)), forgotten), 'removed', null],
  ])('stores nothing over %s', async (_, given, outcome, left) => {
    await using ctx = await PartitionContext.open(at(10))
    await given(ctx)
    expect(await outcomeOf(ctx, updateTo('new'))).toBe(outcome)
    const { cell } = await ctx.guard.look('k')
    expect(cell?.payload.toString() ?? null).toBe(left)
  })

  test('retains what it may not write over, where stale values are retained', async () => {
    await using ctx = await PartitionContext.open(at(10))
    await ctx.store('k', at(50), at(500), 'old')
    expect(await outcomeOf(ctx, updateTo('new', EVENT, RETAIN_MS))).toBe('retained')
    expect((await ctx.guard.look('k')).cell).toMatchObject({ state: 'stale', payload: Buffer.from('old') })
  })

  test('I2 and comes once more after a newer one does not make the retained value live again', async () => {
    await using ctx = await PartitionContext.open(at(10))
    await ctx.store('k', at(50), at(50), 'old')
    await ctx.invalidate('k', commit(200), RETAIN_MS)
    expect(await outcomeOf(ctx, updateTo('as of 100'))).toBe('absent')
    expect((await ctx.guard.look('k')).cell).toMatchObject({ state: 'stale', payload: Buffer.from('old') })
  })

  test('I2 and comes once more after a newer one whose tombstone was evicted is refused by the horizon', async () => {
    await using ctx = await PartitionContext.open(at(10))
    await ctx.store('k', at(50), at(50), 'old')
    await ctx.invalidate('k', commit(200), RETAIN_MS)
    await ctx.redis.del(ctx.keys.generations[0]!)
    expect(await outcomeOf(ctx, updateTo('as of 100'))).toBe('absent')
    expect((await ctx.guard.look('k')).cell?.state).toBe('stale')
  })

  test('and comes twice is kept the second time', async () => {
    await using ctx = await PartitionContext.open(at(10))
    await ctx.store('k', at(50))
    expect(await outcomeOf(ctx, updateTo('new'))).toBe('updated')
    expect(await outcomeOf(ctx, updateTo('once more'))).toBe('kept')
    expect((await ctx.guard.look('k')).cell).toEqual(isNew)
  })

  test('is followed by the next one', async () => {
    await using ctx = await PartitionContext.open(at(10))
    await ctx.store('k', at(50))
    await outcomeOf(ctx, updateTo('new'))
    expect(await outcomeOf(ctx, updateTo('newer', commit(150)))).toBe('updated')
    expect((await ctx.guard.look('k')).cell?.payload.toString()).toBe('newer')
  })

  test('of an abandoned epoch changes nothing', async () => {
    await using ctx = await PartitionContext.open(at(10))
    await ctx.apply({ epochStart: position(2, 50n) })
    await ctx.store('k', position(2, 60n))
    expect(await outcomeOf(ctx, updateTo('new'))).toBe('old-epoch')
    expect((await ctx.guard.look('k')).cell?.payload.toString()).toBe('value')
  })

  test('I3 stores nothing in a gap, not even in the batch that ends it', async () => {
    await using ctx = await PartitionContext.open(at(10))
    await ctx.store('k', at(50))
    await ctx.guard.declareGap(9n, 'offset gone', ctx.offset, 0)
    const watermark = { position: at(120), beatMs: 2_000 }
    const result = await ctx.apply({ from: 9n, events: [updateTo('new')], watermark })
    expect(result).toEqual({ code: 'applied', outcomes: ['removed'] })
    expect(await ctx.raw('k')).toBeNull()
  })

  test('leaves a lease that is out, whose holder may store what is newer and nothing that is older', async () => {
    await using ctx = await PartitionContext.open(at(10))
    await ctx.store('k', at(50))
    const id = await ctx.lease('k')
    expect(await outcomeOf(ctx, updateTo('new'))).toBe('updated')
    expect(await ctx.guard.lease('k', KEYSPACE, leaseId(77), 1_000, after(EVENT))).toMatchObject({ code: 'busy' })
    const loaded = { label: { low: at(100), high: at(100) }, loadedAt: null, ttlMs: TTL_MS, payload: Buffer.from('x') }
    expect(await ctx.guard.fill('k', KEYSPACE, id, loaded)).toEqual({ code: 'stale', required: at(101) })
    expect((await ctx.guard.look('k')).cell).toEqual(isNew)
    const again = await ctx.guard.lease('k', KEYSPACE, leaseId(78), 1_000, after(EVENT))
    expect(again).toMatchObject({ code: 'granted', required: after(EVENT) })
    const fill = await ctx.guard.fill('k', KEYSPACE, leaseId(78), { ...loaded, label: { low: at(101), high: at(130) } })
    expect(fill).toEqual({ code: 'stored' })
  })

  test('may be any of a batch, and holds any bytes', async () => {
    await using ctx = await PartitionContext.open(at(10))
    const payload = Buffer.from([0, 255, 43, 10, 0, 128])
    for (const key of ['a', 'b', 'c']) await ctx.store(key, at(50))
    const update = { keyspace: KEYSPACE, payload, ttlMs: TTL_MS }
    const result = await ctx.apply({
      floors: [{ keyspace: 'other', position: at(90) }],
      events: [
        { key: 'a', version: commit(100), retainStaleMs: 0 },
        { key: 'b', version: commit(101), retainStaleMs: 0, update },
        { key: 'c', version: commit(102), retainStaleMs: RETAIN_MS },
      ],
    })
    expect(result).toEqual({ code: 'applied', outcomes: ['removed', 'updated', 'retained'] })
    expect((await ctx.guard.look('b')).cell).toEqual({ ...NEW, label: { low: at(102), high: at(102) }, payload })
  })
})

describe('a tombstone that the horizon covers', () => {
  test('is not written, and what is required stays the same', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.invalidate('k', commit(99))
    expect(await ctx.tombstones(0)).toEqual({})
    const { newest, generations } = await ctx.view()
    expect({ newest, generations }).toEqual({ newest: commit(99), generations: {} })
    const lease = await ctx.guard.lease('k', KEYSPACE, leaseId(1), 1_000, null)
    expect(lease).toMatchObject({ code: 'granted', required: at(100) })
  })

  test('is written at the horizon itself, which does not cover it', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.invalidate('k', commit(100))
    expect(await ctx.tombstones(0)).toEqual({ k: commit(100) })
    const lease = await ctx.guard.lease('k', KEYSPACE, leaseId(1), 1_000, null)
    expect(lease).toMatchObject({ code: 'granted', required: at(101) })
  })

  test('I2: takes a live value that lacks it all the same', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.redis.set(ctx.keys.cell('k'), `1L${at(50).repeat(2)}${'0'.repeat(13)}-forged`, 'PX', TTL_MS)
    expect(await ctx.invalidate('k', commit(99))).toBe('removed')
  })
})
