import { describe, expect, test } from '@jest/globals'
import { after, maxPosition, ORIGIN, type Position, position, version } from '@tidemark/protocol'
import type { ApplyResult, Batch } from './guard.ts'
import { at, commit, KEYSPACE, leaseId, PartitionContext } from './testing/partition-context.ts'
import { encodeOffset } from './view.ts'

/** What a batch does to the view (protocol 4, 5.2; I3, I4, I6). */
const EVENT = { key: 'k', version: commit(200), retainStaleMs: 0 }
const watermark = (p: Position, beatMs = 2_000): Pick<Batch, 'watermark'> => ({ watermark: { position: p, beatMs } })

/** The batch is refused with that answer, and nothing at all has changed. */
async function expectRefused(ctx: PartitionContext, batch: Partial<Batch>, answer: ApplyResult): Promise<void> {
  await ctx.store('k', at(150))
  const before = [await ctx.redis.get(ctx.keys.view), await ctx.raw('k'), await ctx.tombstones(0)]
  expect(await ctx.apply(batch)).toEqual(answer)
  expect([await ctx.redis.get(ctx.keys.view), await ctx.raw('k'), await ctx.tombstones(0)]).toEqual(before)
}

describe('I4: a batch is applied only where the last one ended', () => {
  test('one that starts above is told where to seek, and nothing is applied', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const batch = { from: 2n, events: [EVENT], ...watermark(at(300)) }
    await expectRefused(ctx, batch, { code: 'seek', offset: 1n })
  })

  test('one that starts below is told where to seek, and nothing is applied', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const batch = { from: 0n, next: 5n, events: [EVENT], ...watermark(at(300)) }
    await expectRefused(ctx, batch, { code: 'seek', offset: 1n })
  })

  test('one that is sent twice is applied once', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const batch = { from: 1n, next: 4n, events: [EVENT] }
    expect(await ctx.apply(batch)).toEqual({ code: 'applied', outcomes: ['absent'] })
    expect(await ctx.apply(batch)).toEqual({ code: 'seek', offset: 4n })
  })

  test('the offset after it is stored with what it did', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.apply({ from: 1n, next: 2n ** 40n, events: [EVENT] })
    expect(await ctx.view()).toMatchObject({ offset: encodeOffset(2n ** 40n), newest: EVENT.version })
  })
})

describe('I3: without a view nothing is applied', () => {
  test.each([
    ['gone', async (ctx: PartitionContext) => await ctx.redis.del(ctx.keys.view)],
    ['no JSON', async (ctx: PartitionContext) => await ctx.redis.set(ctx.keys.view, '{"format":1')],
    ['of another format', async (ctx: PartitionContext) => await ctx.redis.set(ctx.keys.view, '{"format":2}')],
    ['without its fields', async (ctx: PartitionContext) => await ctx.redis.set(ctx.keys.view, '{"format":1}')],
    ['a number', async (ctx: PartitionContext) => await ctx.redis.set(ctx.keys.view, '1')],
    [
      'a hash',
      async (ctx: PartitionContext) => {
        await ctx.redis.del(ctx.keys.view)
        await ctx.redis.hset(ctx.keys.view, 'a', 'b')
      },
    ],
  ])('a view that is %s is a gap for every command', async (_, spoil) => {
    await using ctx = await PartitionContext.open(at(100))
    const id = await ctx.lease('k')
    await spoil(ctx)
    expect(await ctx.apply({ events: [EVENT] })).toEqual({ code: 'view-missing' })
    expect(await ctx.guard.lease('k2', KEYSPACE, leaseId(9), 1_000, null)).toEqual({ code: 'view-missing' })
    const value = { label: { low: at(900), high: at(900) }, loadedAt: null, ttlMs: 1_000, payload: Buffer.from('x') }
    expect(await ctx.guard.fill('k', KEYSPACE, id, value)).toEqual({ code: 'view-missing' })
    expect(await ctx.tombstones(0)).toEqual({})
    expect(await ctx.guard.declareGap(7n, 'mended', null, 0)).toBe(true)
    expect(await ctx.view()).toMatchObject({ offset: encodeOffset(7n), gap: 'mended' })
  })
})

describe('I6: nothing in a view goes back', () => {
  test.each([
    ['rises with a newer one', at(300), at(300)],
    ['stays at an equal one', at(100), at(100)],
    ['stays when an older one comes once more', at(50), at(100)],
  ])('the watermark %s', async (_, given, expected) => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.apply(watermark(given))
    expect((await ctx.view()).watermark).toBe(expected)
  })

  test.each([
    [5_000, 5_000],
    [500, 1_000],
    [1_700_000_000_123, 1_700_000_000_123],
  ])('a beat at %d makes it %d', async (given, expected) => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.apply(watermark(at(101), given))
    expect((await ctx.view()).beat).toBe(expected)
  })

  test('newest is that of the newest event, also when an older one comes once more', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.invalidate('a', commit(200))
    await ctx.invalidate('b', commit(150))
    expect((await ctx.view()).newest).toBe(commit(200))
    expect(await ctx.tombstones(0)).toEqual({ a: commit(200), b: commit(150) })
  })

  test('a tombstone stays when an older event of its key comes once more', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.invalidate('a', commit(200))
    await ctx.invalidate('a', commit(150))
    expect(await ctx.tombstones(0)).toEqual({ a: commit(200) })
  })

  test('events alone leave watermark and beat where they are', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.invalidate('a', commit(200))
    expect(await ctx.view()).toMatchObject({ watermark: at(100), beat: 1_000 })
  })
})

describe('a floor', () => {
  test.each([
    ['of one keyspace', KEYSPACE, at(500), { '*': at(100), [KEYSPACE]: at(500) }],
    ['of all', '*', at(500), { '*': at(500) }],
    ['of all that is lower than the one there', '*', at(50), { '*': at(100) }],
    ['of an abandoned epoch', KEYSPACE, position(0, 900n), { '*': at(100) }],
  ])('%s leaves the right floors', async (_, keyspace, given, floors) => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.apply({ floors: [{ keyspace, position: given }] })
    expect((await ctx.view()).floors).toEqual(floors)
  })

  test('does not go back', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.apply({ floors: [{ keyspace: KEYSPACE, position: at(500) }] })
    await ctx.apply({ floors: [{ keyspace: KEYSPACE, position: at(400) }] })
    expect((await ctx.view()).floors[KEYSPACE]).toBe(at(500))
  })

  test('comes with others and with events in one batch', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const floors = [
      { keyspace: 'a', position: at(300) },
      { keyspace: 'b', position: at(301) },
    ]
    expect(await ctx.apply({ floors, events: [EVENT] })).toEqual({ code: 'applied', outcomes: ['absent'] })
    expect((await ctx.view()).floors).toEqual({ '*': at(100), a: at(300), b: at(301) })
    expect(await ctx.tombstones(0)).toEqual({ k: EVENT.version })
  })
})

describe('an epoch', () => {
  const start = position(2, 50n)

  test('that is announced is adopted, and its start is the floor of every keyspace', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(400))
    expect(await ctx.apply({ epochStart: start })).toEqual({ code: 'applied', outcomes: [] })
    expect(await ctx.view()).toMatchObject({ epoch: '00000002', floors: { '*': start }, watermark: at(100) })
  })

  test('may bring events, floors and a watermark in the batch that announces it', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const event = { key: 'k', version: version(2, 60n), retainStaleMs: 0 }
    const floors = [{ keyspace: KEYSPACE, position: position(2, 70n) }]
    const result = await ctx.apply({ epochStart: start, events: [event], floors, ...watermark(position(2, 80n)) })
    expect(result).toEqual({ code: 'applied', outcomes: ['absent'] })
    expect(await ctx.view()).toMatchObject({
      epoch: '00000002',
      newest: version(2, 60n),
      watermark: position(2, 80n),
      floors: { '*': start, [KEYSPACE]: position(2, 70n) },
    })
  })

  test.each([
    ['an event', { events: [{ ...EVENT, version: version(2, 60n) }] }],
    ['an event after one that is known', { events: [EVENT, { ...EVENT, version: version(2, 60n) }] }],
    ['a watermark', { events: [EVENT], ...watermark(position(2, 60n)) }],
    ['a floor', { events: [EVENT], floors: [{ keyspace: KEYSPACE, position: position(2, 60n) }] }],
    ['an event beyond the one announced', { epochStart: start, events: [{ ...EVENT, version: version(3, 1n) }] }],
  ])('I4: that was never announced is a gap when %s brings it, and nothing is applied', async (_, batch) => {
    await using ctx = await PartitionContext.open(at(100))
    await expectRefused(ctx, batch, { code: 'epoch-unannounced' })
  })

  test('that is abandoned has no say any more', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.apply({ epochStart: start })
    await ctx.store('k', position(2, 55n))
    const result = await ctx.apply({
      epochStart: position(1, 900n),
      events: [EVENT, { ...EVENT, version: version(2, 52n) }],
      floors: [{ keyspace: KEYSPACE, position: at(950) }],
      ...watermark(at(990), 9_000),
    })
    expect(result).toEqual({ code: 'applied', outcomes: ['old-epoch', 'kept'] })
    expect(await ctx.tombstones(0)).toEqual({ k: version(2, 52n) })
    expect(await ctx.view()).toMatchObject({
      epoch: '00000002',
      watermark: at(100),
      beat: 1_000,
      floors: { '*': start },
      newest: version(2, 52n),
      offset: encodeOffset(3n),
    })
  })

  test('that is announced once more changes nothing', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.apply({ epochStart: start })
    await ctx.apply({ epochStart: position(2, 40n) })
    expect(await ctx.view()).toMatchObject({ epoch: '00000002', floors: { '*': start } })
  })
})

describe('I4: a gap', () => {
  test('is closed by the first watermark, which becomes watermark, horizon and floor of all', async () => {
    await using ctx = await PartitionContext.inGap()
    await ctx.apply({ events: [EVENT] })
    expect(await ctx.view()).toMatchObject({ gap: 'first start', watermark: ORIGIN, horizon: ORIGIN, floors: {} })
    await ctx.apply(watermark(at(150), 7_000))
    const view = await ctx.view()
    expect(view.gap).toBeUndefined()
    expect(view).toMatchObject({ watermark: at(150), horizon: at(150), floors: { '*': at(150) }, beat: 7_000 })
  })

  test('does not forget the events that came before that watermark and that it does not cover', async () => {
    await using ctx = await PartitionContext.inGap()
    await ctx.apply({ events: [EVENT] })
    await ctx.apply(watermark(at(150)))
    const lease = await ctx.guard.lease(EVENT.key, KEYSPACE, leaseId(1), 1_000, null)
    const required = maxPosition(at(150), after(EVENT.version))
    expect(lease).toEqual({ code: 'granted', required, granted: required })
  })

  test('is closed by a watermark of whatever epoch is running, when none is known', async () => {
    await using ctx = await PartitionContext.inGap()
    await ctx.apply({ events: [{ ...EVENT, version: version(7, 5n) }] })
    expect(await ctx.apply(watermark(position(7, 4n)))).toEqual({ code: 'applied', outcomes: [] })
    expect(await ctx.view()).toMatchObject({ epoch: '00000007', floors: { '*': position(7, 4n) } })
  })

  test('is not closed by a watermark of an abandoned epoch', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.apply({ epochStart: position(2, 50n) })
    await ctx.guard.declareGap(9n, 'offset gone', ctx.offset, 0)
    await ctx.apply({ from: 9n, ...watermark(at(500)) })
    expect(await ctx.view()).toMatchObject({ gap: 'offset gone', watermark: at(100) })
    await ctx.apply(watermark(position(2, 60n)))
    expect((await ctx.view()).gap).toBeUndefined()
  })

  test('is not closed by an epoch or a floor', async () => {
    await using ctx = await PartitionContext.inGap()
    await ctx.apply({ epochStart: position(2, 50n), floors: [{ keyspace: KEYSPACE, position: position(2, 60n) }] })
    expect(await ctx.view()).toMatchObject({ gap: 'first start', epoch: '00000002' })
  })

  test('lets nothing that was cached before it pass for fresh by its floor', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(120))
    await ctx.guard.declareGap(9n, 'offset gone', ctx.offset, 0)
    await ctx.apply({ from: 9n, ...watermark(at(150)) })
    const { view, cell } = await ctx.guard.look('k')
    expect(cell?.label.low).toBe(at(120))
    expect(view?.floors['*']).toBe(at(150))
  })
})
