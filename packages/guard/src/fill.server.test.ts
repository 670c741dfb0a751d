import { describe, expect, test } from '@jest/globals'
import { after, type Position, position } from '@tidemark/protocol'
import type { FillResult } from './guard.ts'
import { at, commit, KEYSPACE, leaseId, PartitionContext, TTL_MS } from './testing/partition-context.ts'

/** Storing by compare-and-set (protocol 6.4; I1, I2). */
type Event = (ctx: PartitionContext) => Promise<unknown>

function valueFrom(low: Position, high: Position = low, payload = 'new', loadedAt: number | null = null) {
  return { label: { low, high }, loadedAt, ttlMs: TTL_MS, payload: Buffer.from(payload) }
}

const invalidated =
  (lsn: number, key = 'k'): Event =>
  (ctx) =>
    ctx.invalidate(key, commit(lsn))
const floored =
  (lsn: number, keyspace: string): Event =>
  (ctx) =>
    ctx.apply({ floors: [{ keyspace, position: at(lsn) }] })
const forgotten: Event = async (ctx) => {
  const tight = { perGeneration: 1, generationMs: 600_000 }
  for (const i of [0, 1, 2, 3, 4]) await ctx.invalidate(`x${i}`, commit(200 + i), 0, tight)
}

const STORED: FillResult = { code: 'stored' }
const stale = (required: Position): FillResult => ({ code: 'stale', required })

interface Case {
  readonly name: string
  readonly meanwhile?: Event
  readonly low: Position
  readonly answer: FillResult
}

// Every lease here was granted on a partition opened at 100, before what came meanwhile.
const CASES: readonly Case[] = [
  { name: 'above the horizon', low: at(101), answer: STORED },
  { name: 'at the horizon', low: at(100), answer: STORED },
  { name: 'below the horizon', low: at(99), answer: stale(at(100)) },
  { name: 'that lacks an event since the lease', meanwhile: invalidated(200), low: at(199), answer: stale(at(201)) },
  { name: 'that begins at an event', meanwhile: invalidated(200), low: at(200), answer: stale(at(201)) },
  { name: 'that just covers an event', meanwhile: invalidated(200), low: after(commit(200)), answer: STORED },
  { name: 'behind another key’s event only', meanwhile: invalidated(200, 'x'), low: at(150), answer: STORED },
  { name: 'below a floor of its keyspace', meanwhile: floored(300, KEYSPACE), low: at(299), answer: stale(at(300)) },
  { name: 'at a floor of its keyspace', meanwhile: floored(300, KEYSPACE), low: at(300), answer: STORED },
  { name: 'below a floor of all', meanwhile: floored(300, '*'), low: at(299), answer: stale(at(300)) },
  { name: 'below another keyspace’s floor', meanwhile: floored(300, 'other'), low: at(299), answer: STORED },
  { name: 'below a horizon that has risen', meanwhile: forgotten, low: at(200), answer: stale(at(201)) },
  { name: 'at a horizon that has risen', meanwhile: forgotten, low: at(201), answer: STORED },
  {
    name: 'of an abandoned epoch',
    meanwhile: (ctx) => ctx.apply({ epochStart: position(2, 50n) }),
    low: at(900),
    answer: stale(position(2, 50n)),
  },
  {
    name: 'of an epoch that this region has yet to hear of',
    meanwhile: invalidated(200),
    low: position(2, 1n),
    answer: STORED,
  },
]

describe('I2: a value whose label begins', () => {
  test.each(CASES)('$name is answered $answer.code', async ({ meanwhile, low, answer }) => {
    await using ctx = await PartitionContext.open(at(100))
    const id = await ctx.lease('k')
    await meanwhile?.(ctx)
    expect(await ctx.guard.fill('k', KEYSPACE, id, valueFrom(low))).toEqual(answer)
    const { cell } = await ctx.guard.look('k')
    expect(cell?.label.low).toBe(answer.code === 'stored' ? low : undefined)
  })

  test('before the event of a key that was in no cache is refused: the lagging replica’s old value', async () => {
    await using ctx = await PartitionContext.open(at(100))
    expect(await ctx.invalidate('k', commit(200))).toBe('absent')
    const id = await ctx.lease('k')
    expect(await ctx.guard.fill('k', KEYSPACE, id, valueFrom(at(150)))).toEqual(stale(at(201)))
    expect(await ctx.raw('k')).toBeNull()
  })
})

describe('what is stored', () => {
  test('is the value, its label, and when the primary gave it', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const id = await ctx.lease('k')
    const payload = Buffer.from([0, 255, 43, 45, 10, 0])
    const label = { low: at(150), high: at(170) }
    await ctx.guard.fill('k', KEYSPACE, id, { label, loadedAt: 1_700_000_000_123.9, ttlMs: TTL_MS, payload })
    const { cell } = await ctx.guard.look('k')
    expect(cell).toEqual({ state: 'live', label, loadedAt: 1_700_000_000_123, payload })
  })

  test('from a replica says nothing of its age', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(150))
    expect((await ctx.guard.look('k')).cell?.loadedAt).toBeNull()
  })

  test('goes when its time is over', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(150))
    const remaining = await ctx.remainingMs('k')
    expect(remaining).toBeLessThanOrEqual(TTL_MS)
    expect(remaining).toBeGreaterThan(TTL_MS - 60_000)
  })

  test('takes the place of what was retained', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(110), at(110), 'old')
    await ctx.invalidate('k', commit(120), 60_000)
    await ctx.store('k', at(130), at(130), 'new')
    expect((await ctx.guard.look('k')).cell).toMatchObject({ state: 'live', payload: Buffer.from('new') })
  })

  test('may be no bytes at all', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(110), at(110), '')
    expect((await ctx.guard.look('k')).cell?.payload.length).toBe(0)
  })
})

describe('over a live value', () => {
  test.each([
    ['one that begins later is stored', at(151), { code: 'stored' }, 'new'],
    ['one that begins at the same place is stored', at(150), { code: 'stored' }, 'new'],
    ['one that begins earlier is not', at(149), { code: 'older' }, 'there'],
  ])('%s', async (_, low, answer, payload) => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(150), at(150), 'there')
    const id = await ctx.lease('k')
    expect(await ctx.guard.fill('k', KEYSPACE, id, valueFrom(low))).toEqual(answer)
    expect((await ctx.guard.look('k')).cell?.payload.toString()).toBe(payload)
  })
})

describe('without its lease nothing is stored', () => {
  test.each<[string, Event]>([
    ['that was never taken', async () => undefined],
    ['that is another’s', async (ctx) => await ctx.guard.lease('k', KEYSPACE, leaseId(99), 60_000, null)],
    ['that was given back', async (ctx) => await ctx.guard.release('k', await ctx.lease('k'))],
    [
      'that was evicted with its cell',
      async (ctx) => {
        await ctx.lease('k')
        await ctx.redis.del(ctx.keys.cell('k'))
      },
    ],
    ['that was used', async (ctx) => await ctx.store('k', at(100), at(100), 'first')],
    ['that lay beside something that is no cell', async (ctx) => await ctx.redis.set(ctx.keys.cell('k'), 'x')],
  ])('%s', async (_, given) => {
    await using ctx = await PartitionContext.open(at(100))
    await given(ctx)
    const before = await ctx.raw('k')
    expect(await ctx.guard.fill('k', KEYSPACE, leaseId(1), valueFrom(at(150)))).toEqual({ code: 'lease-lost' })
    expect(await ctx.raw('k')).toBe(before)
  })
})

describe('a fill ends its lease when it is refused', () => {
  test.each<[string, Event, Position, string]>([
    ['as stale', invalidated(200), at(150), 'stale'],
    ['for a gap', (ctx) => ctx.guard.declareGap(9n, 'offset gone', ctx.offset, 0), at(150), 'gap'],
    ['for a view that is gone', (ctx) => ctx.redis.del(ctx.keys.view), at(150), 'view-missing'],
  ])('%s', async (_, meanwhile, low, code) => {
    await using ctx = await PartitionContext.open(at(100))
    const id = await ctx.lease('k')
    await meanwhile(ctx)
    expect((await ctx.guard.fill('k', KEYSPACE, id, valueFrom(low))).code).toBe(code)
    expect(await ctx.raw('k')).toBeNull()
  })

  test('and leaves a retained value with its time', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(110), at(110), 'old')
    await ctx.invalidate('k', commit(120), 60_000)
    const id = await ctx.lease('k', 5_000)
    expect((await ctx.guard.fill('k', KEYSPACE, id, valueFrom(at(115)))).code).toBe('stale')
    expect((await ctx.guard.look('k')).cell).toMatchObject({ state: 'stale', payload: Buffer.from('old') })
    expect(await ctx.remainingMs('k')).toBeGreaterThan(10_000)
    expect(await ctx.guard.lease('k', KEYSPACE, leaseId(50), 1_000, null)).toMatchObject({ code: 'granted' })
  })
})

test('a label that ends before it begins is refused before it is sent', async () => {
  await using ctx = await PartitionContext.open(at(100))
  const id = await ctx.lease('k')
  await expect(ctx.guard.fill('k', KEYSPACE, id, valueFrom(at(150), at(149)))).rejects.toThrow('before it ends')
})
