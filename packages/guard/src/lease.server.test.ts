import assert from 'node:assert/strict'
import { describe, expect, test } from '@jest/globals'
import { after, ORIGIN, type Position, position, version } from '@tidemark/protocol'
import fc from 'fast-check'
import type { LeaseResult } from './guard.ts'
import { at, commit, KEYSPACE, LEASE_MS, leaseId, PartitionContext, TTL_MS } from './testing/partition-context.ts'

/** The right to load one key (protocol 6.2). */
const SHORT_MS = 20
const DEADLINE_MS = 5_000

const lease = (ctx: PartitionContext, n: number, unusable: Position | null = null, ms = LEASE_MS) =>
  ctx.guard.lease('k', KEYSPACE, leaseId(n), ms, unusable)

const granted = (required: Position, to: Position = required): LeaseResult => ({
  code: 'granted',
  required,
  granted: to,
})

describe('what a lease says: required = max(after(tombstone), horizon, floor), granted = max(W, after(N), required)', () => {
  type Arrangement = (ctx: PartitionContext) => Promise<unknown>
  const event =
    (key: string, lsn: number): Arrangement =>
    (ctx) =>
      ctx.invalidate(key, commit(lsn))
  const watermark =
    (lsn: number): Arrangement =>
    (ctx) =>
      ctx.apply({ watermark: { position: at(lsn), beatMs: 1 } })
  const floor =
    (keyspace: string, lsn: number): Arrangement =>
    (ctx) =>
      ctx.apply({ floors: [{ keyspace, position: at(lsn) }] })

  // Every partition here was opened at 100: watermark, horizon and the floor of all are there.
  test.each([
    { name: 'nothing since it was opened', given: [], required: at(100), upTo: at(100) },
    { name: 'an event of the key', given: [event('k', 200)], required: at(201), upTo: at(201) },
    { name: 'two events of the key', given: [event('k', 200), event('k', 300)], required: at(301), upTo: at(301) },
    { name: 'an event of another key', given: [event('x', 200)], required: at(100), upTo: at(201) },
    { name: 'a watermark beyond', given: [event('k', 200), watermark(300)], required: at(201), upTo: at(300) },
    {
      name: 'a watermark that just covers',
      given: [event('k', 200), watermark(201)],
      required: at(201),
      upTo: at(201),
    },
    { name: 'a watermark behind', given: [event('x', 200), watermark(150)], required: at(100), upTo: at(201) },
    { name: 'a floor of the keyspace', given: [floor(KEYSPACE, 400)], required: at(400), upTo: at(400) },
    { name: 'a floor of all', given: [floor('*', 400)], required: at(400), upTo: at(400) },
    { name: 'a floor of another keyspace', given: [floor('other', 400)], required: at(100), upTo: at(100) },
    {
      name: 'the higher of two floors',
      given: [floor(KEYSPACE, 400), floor('*', 300)],
      required: at(400),
      upTo: at(400),
    },
    { name: 'a floor below the event', given: [event('k', 500), floor('*', 400)], required: at(501), upTo: at(501) },
    { name: 'an event below the floor', given: [event('k', 300), floor('*', 400)], required: at(400), upTo: at(400) },
  ])('$name', async ({ given, required, upTo }) => {
    await using ctx = await PartitionContext.open(at(100))
    for (const arrange of given) await arrange(ctx)
    expect(await lease(ctx, 1)).toEqual(granted(required, upTo))
  })
})

describe('one holder at a time', () => {
  test('a second one is told for how long the first may hold it', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await lease(ctx, 1)
    const second = await lease(ctx, 2)
    assert(second.code === 'busy')
    expect(second.ms).toBeGreaterThan(LEASE_MS - 60_000)
    expect(second.ms).toBeLessThanOrEqual(LEASE_MS)
  })

  test('leases of other keys are not touched', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await lease(ctx, 1)
    expect(await ctx.guard.lease('other', KEYSPACE, leaseId(2), LEASE_MS, null)).toEqual(granted(at(100)))
  })

  test('the holder whose answer was lost may ask again, and is told of what came meanwhile', async () => {
    await using ctx = await PartitionContext.open(at(100))
    expect(await lease(ctx, 1)).toEqual(granted(at(100)))
    await ctx.invalidate('k', commit(200))
    expect(await lease(ctx, 1)).toEqual(granted(at(201)))
    expect((await lease(ctx, 2)).code).toBe('busy')
  })

  test('one whose time is over is taken by the next, and the first may not store', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(110))
    await lease(ctx, 1, at(110), SHORT_MS)
    await untilGranted(ctx, 2, at(110))
    const value = { label: { low: at(150), high: at(150) }, loadedAt: null, ttlMs: TTL_MS, payload: Buffer.from('x') }
    expect(await ctx.guard.fill('k', KEYSPACE, leaseId(1), value)).toEqual({ code: 'lease-lost' })
    expect(await ctx.guard.fill('k', KEYSPACE, leaseId(2), value)).toEqual({ code: 'stored' })
  })

  test('one whose time is over leaves no cell behind when there is no value', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await lease(ctx, 1, null, SHORT_MS)
    await untilGranted(ctx, 2, null)
    expect(await ctx.remainingMs('k')).toBeGreaterThan(SHORT_MS)
  })

  test('one that was given back is free at once, and what was retained is still there', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(110), at(110), 'old')
    await ctx.invalidate('k', commit(120), 60_000)
    await lease(ctx, 1)
    await ctx.guard.release('k', leaseId(1))
    expect(await lease(ctx, 2)).toEqual(granted(at(121)))
    expect((await ctx.guard.look('k')).cell).toMatchObject({ state: 'stale', payload: Buffer.from('old') })
  })

  test('one that was given back without a value leaves nothing', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await lease(ctx, 1)
    await ctx.guard.release('k', leaseId(1))
    expect(await ctx.raw('k')).toBeNull()
  })

  test('nobody gives back what is another’s, or what is not there', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.guard.release('k', leaseId(1))
    await lease(ctx, 1)
    await ctx.guard.release('k', leaseId(2))
    expect((await lease(ctx, 3)).code).toBe('busy')
  })

  test('an id of another length is refused before it is sent: the cell has no room for it', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await expect(ctx.guard.lease('k', KEYSPACE, 'abc', LEASE_MS, null)).rejects.toThrow('16 hexadecimal digits')
  })
})

describe('a live value', () => {
  test.each([
    { name: 'that the caller did not see is to be read', low: at(150), unusable: null, code: 'changed' },
    { name: 'newer than the one seen is to be read', low: at(150), unusable: at(120), code: 'changed' },
    { name: 'that the caller could not use gives way to a lease', low: at(150), unusable: at(150), code: 'granted' },
    { name: 'is read again even while a lease is out', low: at(150), unusable: null, out: true, code: 'changed' },
    { name: 'below the floor is nothing to read', low: at(150), unusable: null, floor: at(200), code: 'granted' },
    { name: 'at the floor is to be read', low: at(150), unusable: null, floor: at(150), code: 'changed' },
  ])('$name', async ({ low, unusable, out, floor, code }) => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', low)
    if (out) await ctx.lease('k')
    if (floor) await ctx.apply({ floors: [{ keyspace: KEYSPACE, position: floor }] })
    expect((await lease(ctx, 7, unusable)).code).toBe(code)
  })

  test.each([
    { name: 'shorter', ms: LEASE_MS },
    { name: 'longer', ms: 2 * TTL_MS },
  ])('stays, with its time to live, while a $name lease is out', async ({ ms }) => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(150), at(160), 'still here')
    await lease(ctx, 1, at(150), ms)
    expect((await ctx.guard.look('k')).cell?.payload.toString()).toBe('still here')
    expect(await ctx.remainingMs('k')).toBeGreaterThan(TTL_MS - 60_000)
    expect(await ctx.remainingMs('k')).toBeLessThanOrEqual(TTL_MS)
  })
})

describe('a retained value', () => {
  test('is kept no longer by leases whose loads fail', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(110))
    await ctx.invalidate('k', commit(120), 60_000)
    for (const n of [1, 2]) {
      await lease(ctx, n)
      await ctx.guard.release('k', leaseId(n))
    }
    expect(await ctx.remainingMs('k')).toBeLessThanOrEqual(60_000)
  })

  test('takes the lease with it when it goes: the next may load at once', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(110))
    await ctx.invalidate('k', commit(120), SHORT_MS)
    await lease(ctx, 1)
    await untilGranted(ctx, 2, null)
    const value = { label: { low: at(150), high: at(150) }, loadedAt: null, ttlMs: TTL_MS, payload: Buffer.from('x') }
    expect(await ctx.guard.fill('k', KEYSPACE, leaseId(1), value)).toEqual({ code: 'lease-lost' })
  })
})

describe('no lease is granted', () => {
  test('without a view', async () => {
    await using ctx = await PartitionContext.empty()
    expect(await lease(ctx, 1)).toEqual({ code: 'view-missing' })
    expect(await ctx.raw('k')).toBeNull()
  })

  test('I3: in a gap', async () => {
    await using ctx = await PartitionContext.inGap()
    expect(await lease(ctx, 1)).toEqual({ code: 'gap' })
    expect(await ctx.raw('k')).toBeNull()
  })
})

test.each([
  ['a string that is no cell', (ctx: PartitionContext) => ctx.redis.set(ctx.keys.cell('k'), 'x')],
  ['half a cell', (ctx: PartitionContext) => ctx.redis.set(ctx.keys.cell('k'), `1L${'0'.repeat(61)}+0123`)],
  ['a hash', (ctx: PartitionContext) => ctx.redis.hset(ctx.keys.cell('k'), 'a', 'b')],
])('%s under the key gives way to a lease and a value', async (_, spoil) => {
  await using ctx = await PartitionContext.open(at(100))
  await spoil(ctx)
  expect(await lease(ctx, 1)).toEqual(granted(at(100)))
  const value = { label: { low: at(150), high: at(150) }, loadedAt: null, ttlMs: TTL_MS, payload: Buffer.from('x') }
  expect(await ctx.guard.fill('k', KEYSPACE, leaseId(1), value)).toEqual({ code: 'stored' })
})

test('the position after a version is the same in Lua as in TypeScript', async () => {
  await using ctx = await PartitionContext.open(ORIGIN)
  const digits = fc.array(fc.constantFrom(...'0123456789abcdefffff'), { minLength: 16, maxLength: 16 })
  const carrying = fc.tuple(fc.nat(15), fc.nat(16)).map(([head, ones]) => head.toString(16) + 'f'.repeat(ones))
  const lsn = fc
    .oneof(
      digits.map((d) => d.join('')),
      carrying,
    )
    .map((hex) => BigInt(`0x${hex.slice(-16)}`))
    .filter((n) => n < 2n ** 64n - 1n)
  const epochs = fc.constantFrom(0, 1, 0xf, 0xffff, 0xffff_ffff)
  await fc.assert(
    fc.asyncProperty(epochs, lsn, async (epoch, n) => {
      const v = version(epoch, n)
      await ctx.redis.del(ctx.keys.view, ...ctx.keys.generations, ctx.keys.cell('k'))
      await ctx.guard.declareGap(0n, 'test', null, 0)
      await ctx.apply({ from: 0n, watermark: { position: position(epoch, 0n), beatMs: 1 } })
      await ctx.invalidate('k', v)
      expect(await lease(ctx, 1)).toEqual(granted(after(v)))
    }),
    { numRuns: 500 },
  )
})

/** Asks until the lease that is out is over: every answer before is `busy`. */
async function untilGranted(ctx: PartitionContext, n: number, unusable: Position | null): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  while (performance.now() < deadline) {
    const { code } = await lease(ctx, n, unusable)
    if (code === 'granted') return
    expect(code).toBe('busy')
  }
  throw new Error(`a lease of ${SHORT_MS} ms was still out after ${DEADLINE_MS} ms`)
}
