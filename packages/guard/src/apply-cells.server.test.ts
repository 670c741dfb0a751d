import { expect, test } from '@jest/globals'
import { after, type Position } from '@tidemark/protocol'
import { at, commit, KEYSPACE, PartitionContext, TTL_MS } from './testing/partition-context.ts'

/** What one event at 100 does to what is under its key (protocol 5.1). */
const EVENT = commit(100)
const RETAIN_MS = 60_000

type Arrangement = (ctx: PartitionContext) => Promise<unknown>
interface Case {
  readonly name: string
  readonly given: Arrangement
  readonly outcome: string
  readonly left: 'nothing' | 'live' | 'stale' | 'lease'
}

const live =
  (low: Position): Arrangement =>
  (ctx) =>
    ctx.store('k', low)
const leased: Arrangement = (ctx) => ctx.lease('k')
const both =
  (first: Arrangement, second: Arrangement): Arrangement =>
  async (ctx) => {
    await first(ctx)
    await second(ctx)
  }
const retained: Arrangement = async (ctx) => {
  await ctx.store('k', at(50))
  await ctx.invalidate('k', commit(60), RETAIN_MS)
}
const raw =
  (text: string): Arrangement =>
  (ctx) =>
    ctx.redis.set(ctx.keys.cell('k'), text)
const hash: Arrangement = (ctx) => ctx.redis.hset(ctx.keys.cell('k'), 'field', 'x')

const TIME = '0'.repeat(13)
const REMOVING: readonly Case[] = [
  { name: 'no cell', given: async () => undefined, outcome: 'absent', left: 'nothing' },
  { name: 'a live value that lacks it', given: live(at(50)), outcome: 'removed', left: 'nothing' },
  { name: 'a live value whose label begins at it', given: live(at(100)), outcome: 'removed', left: 'nothing' },
  { name: 'a live value whose label just covers it', given: live(after(EVENT)), outcome: 'kept', left: 'live' },
  { name: 'a newer live value', given: live(at(200)), outcome: 'kept', left: 'live' },
  { name: 'a lease and no value', given: leased, outcome: 'absent', left: 'lease' },
  { name: 'a live value and a lease', given: both(live(at(50)), leased), outcome: 'removed', left: 'lease' },
  { name: 'a newer live value and a lease', given: both(live(at(200)), leased), outcome: 'kept', left: 'live' },
  { name: 'a retained value', given: retained, outcome: 'absent', left: 'stale' },
  { name: 'a retained value and a lease', given: both(retained, leased), outcome: 'absent', left: 'stale' },
  { name: 'a string that is no cell', given: raw('something else'), outcome: 'absent', left: 'nothing' },
  { name: 'an empty string', given: raw(''), outcome: 'absent', left: 'nothing' },
  {
    name: 'a cell of a later format',
    given: raw(`2L${at(200).repeat(2)}${TIME}-`),
    outcome: 'absent',
    left: 'nothing',
  },
  {
    name: 'a cell of an unknown state',
    given: raw(`1X${at(200).repeat(2)}${TIME}-`),
    outcome: 'absent',
    left: 'nothing',
  },
  {
    name: 'a cell with a garbled label',
    given: raw(`1L${'z'.repeat(48)}${TIME}-`),
    outcome: 'absent',
    left: 'nothing',
  },
  {
    name: 'a live cell cut off inside its lease',
    given: raw(`1L${at(50).repeat(2)}${TIME}+0123`),
    outcome: 'absent',
    left: 'nothing',
  },
  { name: 'a hash', given: hash, outcome: 'absent', left: 'nothing' },
]

test.each(REMOVING)('I2: an event that meets $name leaves $left', async ({ given, outcome, left }) => {
  await using ctx = await PartitionContext.open(at(10))
  await given(ctx)
  expect(await ctx.invalidate('k', EVENT)).toBe(outcome)
  expect(await leftIn(ctx)).toBe(left)
})

test.each(REMOVING)('I2: an event that meets $name is remembered for the next fill', async ({ given }) => {
  await using ctx = await PartitionContext.open(at(10))
  await given(ctx)
  await ctx.invalidate('k', EVENT)
  expect(await ctx.tombstones(0)).toMatchObject({ k: EVENT })
})

test.each([
  { name: 'a live value that lacks it', given: live(at(50)), outcome: 'retained', left: 'stale' },
  { name: 'a live value that has it', given: live(at(101)), outcome: 'kept', left: 'live' },
  { name: 'a live value and a lease', given: both(live(at(50)), leased), outcome: 'retained', left: 'stale' },
  { name: 'no cell', given: async () => undefined, outcome: 'absent', left: 'nothing' },
  { name: 'a lease and no value', given: leased, outcome: 'absent', left: 'lease' },
])('where stale values are retained, an event that meets $name leaves $left', async ({ given, outcome, left }) => {
  await using ctx = await PartitionContext.open(at(10))
  await given(ctx)
  expect(await ctx.invalidate('k', EVENT, RETAIN_MS)).toBe(outcome)
  expect(await leftIn(ctx)).toBe(left)
})

test('a retained value keeps its payload and label, and goes when its time is over', async () => {
  await using ctx = await PartitionContext.open(at(10))
  await ctx.store('k', at(50), at(70), 'old')
  await ctx.invalidate('k', EVENT, RETAIN_MS)
  const { cell } = await ctx.guard.look('k')
  expect(cell).toEqual({
    state: 'stale',
    label: { low: at(50), high: at(70) },
    loadedAt: null,
    payload: Buffer.from('old'),
  })
  await expectRemaining(ctx, RETAIN_MS)
})

test('a further event does not prolong a retained value', async () => {
  await using ctx = await PartitionContext.open(at(10))
  await ctx.store('k', at(50))
  await ctx.invalidate('k', commit(60), RETAIN_MS)
  await ctx.invalidate('k', EVENT, 10 * RETAIN_MS)
  await expectRemaining(ctx, RETAIN_MS)
})

test('a value that an event does not concern keeps its time to live', async () => {
  await using ctx = await PartitionContext.open(at(10))
  await ctx.store('k', at(200))
  await ctx.invalidate('k', EVENT, RETAIN_MS)
  await expectRemaining(ctx, TTL_MS)
})

test('a lease outlives the value that it was taken beside', async () => {
  await using ctx = await PartitionContext.open(at(10))
  await ctx.store('k', at(50))
  const id = await ctx.lease('k')
  await ctx.invalidate('k', EVENT)
  const label = { low: at(101), high: at(101) }
  const value = { label, loadedAt: null, ttlMs: TTL_MS, payload: Buffer.from('new') }
  expect(await ctx.guard.fill('k', KEYSPACE, id, value)).toEqual({ code: 'stored' })
})

test('a batch answers for each of its events, in their order', async () => {
  await using ctx = await PartitionContext.open(at(10))
  await ctx.store('old', at(50))
  await ctx.store('new', at(500))
  await ctx.store('kept-stale', at(50))
  const result = await ctx.apply({
    events: [
      { key: 'new', version: commit(100), retainStaleMs: 0 },
      { key: 'old', version: commit(100), retainStaleMs: 0 },
      { key: 'kept-stale', version: commit(101), retainStaleMs: RETAIN_MS },
      { key: 'old', version: commit(102), retainStaleMs: 0 },
    ],
  })
  expect(result).toEqual({ code: 'applied', outcomes: ['kept', 'removed', 'retained', 'absent'] })
  expect(await ctx.tombstones(0)).toEqual({ new: commit(100), old: commit(102), 'kept-stale': commit(101) })
})

test('I2: a key may hold any characters', async () => {
  await using ctx = await PartitionContext.open(at(10))
  const key = 'produit:%7Bnaïve%7D:漢"\\\''
  await ctx.store(key, at(50))
  expect(await ctx.invalidate(key, EVENT)).toBe('removed')
  expect(await ctx.tombstones(0)).toEqual({ [key]: EVENT })
  await expect(ctx.store(key, at(100))).rejects.toThrow('stale')
})

test('a batch of five thousand events is applied as one', async () => {
  await using ctx = await PartitionContext.open(at(10))
  await ctx.store('k4999', at(50))
  const events = Array.from({ length: 5_000 }, (_, i) => ({ key: `k${i}`, version: commit(100 + i), retainStaleMs: 0 }))
  const result = await ctx.apply({ events })
  expect(result).toMatchObject({ code: 'applied', outcomes: { length: 5_000, 0: 'absent', 4999: 'removed' } })
  expect((await ctx.view()).newest).toBe(commit(5_099))
})

async function leftIn(ctx: PartitionContext): Promise<Case['left']> {
  if ((await ctx.redis.exists(ctx.keys.cell('k'))) === 0) return 'nothing'
  const { cell } = await ctx.guard.look('k')
  return cell?.state ?? 'lease'
}

/** A minute of allowance for the test's own run; the times under test lie further apart. */
async function expectRemaining(ctx: PartitionContext, ms: number): Promise<void> {
  const remaining = await ctx.remainingMs('k')
  expect(remaining).toBeLessThanOrEqual(ms)
  expect(remaining).toBeGreaterThan(ms - 50_000)
}
