import { describe, expect, test } from '@jest/globals'
import { ORIGIN } from '@tidemark/protocol'
import { at, commit, PartitionContext } from './testing/partition-context.ts'
import { encodeOffset } from './view.ts'

/** A partition that starts again, trusting nothing (protocol 4; I3, I4, I6). */
const NOTHING_KNOWN = {
  watermark: ORIGIN,
  newest: ORIGIN,
  horizon: ORIGIN,
  floors: {},
  beat: 0,
  current: 0,
  generations: {},
}

describe('a gap is declared', () => {
  test('where there is no view', async () => {
    await using ctx = await PartitionContext.empty()
    expect(await ctx.guard.declareGap(77n, 'first start', null, 0)).toBe(true)
    const view = { format: 1, ...NOTHING_KNOWN, epoch: '00000000', offset: encodeOffset(77n), gap: 'first start' }
    expect(await ctx.view()).toEqual(view)
  })

  test('I6 over the view that the caller saw; what that knows stays true', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.invalidate('k', commit(200))
    const before = await ctx.view()
    expect(await ctx.guard.declareGap(500n, 'offset gone', 2n, 0)).toBe(true)
    expect(await ctx.view()).toEqual({ ...before, offset: encodeOffset(500n), gap: 'offset gone' })
    expect(await ctx.tombstones(0)).toEqual({ k: commit(200) })
  })

  test('once more while one is open, for another cause', async () => {
    await using ctx = await PartitionContext.inGap()
    expect(await ctx.guard.declareGap(5n, 'record malformed', 0n, 0)).toBe(true)
    expect(await ctx.view()).toMatchObject({ offset: encodeOffset(5n), gap: 'record malformed' })
  })

  test('at a lower offset, when the topic was made anew', async () => {
    await using ctx = await PartitionContext.open(at(100))
    expect(await ctx.guard.declareGap(0n, 'offset beyond the end', 1n, 0)).toBe(true)
    expect(await ctx.view()).toMatchObject({ offset: encodeOffset(0n), gap: 'offset beyond the end' })
  })

  test('and a cause may hold any text', async () => {
    await using ctx = await PartitionContext.empty()
    const cause = 'offset 5 "gone"\n\\ – naïve 漢'
    await ctx.guard.declareGap(1n, cause, null, 0)
    expect((await ctx.view()).gap).toBe(cause)
  })
})

describe('a gap is not declared over what another worker did meanwhile', () => {
  test.each([
    ['it applied a batch', 0n],
    ['it declared one already', null],
    ['it is far ahead', 2n ** 50n],
  ])('%s', async (_, expected) => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.invalidate('k', commit(200))
    const before = await ctx.redis.get(ctx.keys.view)
    expect(await ctx.guard.declareGap(500n, 'offset gone', expected, 0)).toBe(false)
    expect(await ctx.redis.get(ctx.keys.view)).toBe(before)
    expect(await ctx.tombstones(0)).toEqual({ k: commit(200) })
  })

  test('nor where the view that the caller saw has gone', async () => {
    await using ctx = await PartitionContext.empty()
    expect(await ctx.guard.declareGap(500n, 'offset gone', 1n, 0)).toBe(false)
    expect(await ctx.redis.exists(ctx.keys.view)).toBe(0)
  })
})
