import { describe, expect, test } from '@jest/globals'
import { ORIGIN } from '@tidemark/protocol'
import fc from 'fast-check'
import type { Guard } from './guard.ts'
import { requiredOf } from './inspection.ts'
import { decodePayload, encodePayload } from './payload.ts'
import { at, commit, KEYSPACE, LEASE_MS, leaseId, PartitionContext, TTL_MS } from './testing/partition-context.ts'

/** What an operator is told of one key. */
describe('of a key that', () => {
  test('nobody has seen, in a Redis that holds nothing, all is absent', async () => {
    await using ctx = await PartitionContext.empty()
    const { serverTimeMs, ...rest } = await ctx.guard.inspect('k')
    expect(rest).toEqual({
      view: null,
      cell: null,
      lease: null,
      remainingMs: null,
      generations: Array(4).fill({ tombstone: null, keys: 0 }),
    })
    expect(Math.abs(serverTimeMs - Date.now())).toBeLessThan(60_000)
  })

  test('is cached, its label, age and size are told, and never its value', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const body = Buffer.from('a value of twenty-four b')
    const dependencies = ['customer:1', 'tag:sale']
    await ctx.store('k', at(150), at(160), encodePayload({ codec: 64, storedAt: 12, costMs: 3, dependencies, body }))
    const { view, cell, remainingMs } = await ctx.guard.inspect('k')
    const label = { low: at(150), high: at(160) }
    const value = { codec: 64, storedAt: 12, costMs: 3, dependencies: 2, bytes: 24 }
    expect(cell).toEqual({ state: 'live', label, loadedAt: null, value })
    expect(view).toEqual(await ctx.view())
    expect(remainingMs).toBeGreaterThan(TTL_MS - 60_000)
  })

  test('is leased beside a retained value, both are told', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.store('k', at(150), at(150), 'old')
    await ctx.invalidate('k', commit(200), 60_000)
    const id = await ctx.lease('k')
    const { cell, lease, serverTimeMs } = await ctx.guard.inspect('k')
    expect(cell).toMatchObject({ state: 'stale', value: 'malformed' })
    expect(lease?.id).toBe(id)
    expect(lease!.endsAtMs - serverTimeMs).toBeGreaterThan(LEASE_MS - 60_000)
  })

  test('is leased and has no value, the lease is told', async () => {
    await using ctx = await PartitionContext.open(at(100))
    await ctx.lease('k')
    expect(await ctx.guard.inspect('k')).toMatchObject({ cell: null, lease: { id: leaseId(1) } })
  })

  test('was invalidated, its tombstones are told by generation', async () => {
    await using ctx = await PartitionContext.open(at(100))
    const two = { perGeneration: 2, generationMs: 600_000 }
    for (const [key, lsn] of [
      ['k', 200],
      ['x', 201],
      ['k', 202],
    ] as const) {
      await ctx.invalidate(key, commit(lsn), 0, two)
    }
    const { generations } = await ctx.guard.inspect('k')
    expect(generations.slice(0, 3)).toEqual([
      { tombstone: commit(200), keys: 2 },
      { tombstone: commit(202), keys: 1 },
      { tombstone: null, keys: 0 },
    ])
  })
})

test('what else lies under the keys is told as malformed, and does not fail the command', async () => {
  await using ctx = await PartitionContext.open(at(100))
  await ctx.redis.hset(ctx.keys.cell('k'), 'a', 'b')
  await ctx.redis.set(ctx.keys.view, 'x')
  await ctx.redis.set(ctx.keys.generations[1]!, 'x')
  const inspection = await ctx.guard.inspect('k')
  expect(inspection).toMatchObject({ view: 'malformed', cell: 'malformed', lease: null })
  expect(inspection.generations[1]).toEqual({ tombstone: 'malformed', keys: 0 })
})

test('of a value exactly that is told which its readers decode, and what they refuse is malformed', async () => {
  await using ctx = await PartitionContext.open(at(100))
  const cell = Buffer.from(`1L${at(150)}${at(160)}${'0'.repeat(13)}-`)
  const payload = fc
    .record({
      codec: fc.nat(255),
      storedAt: fc.nat(2 ** 45),
      costMs: fc.nat(0xffff_ffff),
      dependencies: fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 3 }),
      body: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    })
    .map(encodePayload)
  const cut = fc.tuple(payload, fc.nat(40)).map(([raw, bytes]) => raw.subarray(0, bytes))
  const foreign = payload.map((raw) => Buffer.concat([Buffer.of(2), raw.subarray(1)]))
  await fc.assert(
    fc.asyncProperty(fc.oneof(payload, cut, foreign), async (raw) => {
      await ctx.redis.set(ctx.keys.cell('k'), Buffer.concat([cell, raw]))
      expect(await ctx.guard.inspect('k')).toMatchObject({ cell: { value: decoded(raw) } })
    }),
  )
})

function decoded(raw: Buffer) {
  try {
    const { dependencies, body, ...rest } = decodePayload(raw)
    return { ...rest, dependencies: dependencies.length, bytes: body.length }
  } catch {
    return 'malformed'
  }
}

test('an inspection writes nothing, not even what it notices', async () => {
  await using ctx = await PartitionContext.open(at(100))
  await ctx.invalidate('k', commit(200))
  await ctx.redis.del(ctx.keys.generations[0]!)
  const before = await ctx.redis.get(ctx.keys.view)
  await ctx.guard.inspect('k')
  expect(await ctx.redis.get(ctx.keys.view)).toBe(before)
})

describe('what a label must begin at, by an inspection, is what a lease requires', () => {
  const required = async (guard: Guard) => {
    const lease = await guard.lease('k', KEYSPACE, leaseId(9), 1, null)
    return lease.code === 'granted' ? lease.required : null
  }
  test.each<[string, (ctx: PartitionContext) => Promise<unknown>]>([
    ['at the horizon', async () => undefined],
    ['after a tombstone', (ctx) => ctx.invalidate('k', commit(200))],
    ['at a floor', (ctx) => ctx.apply({ floors: [{ keyspace: KEYSPACE, position: at(300) }] })],
    [
      'after a tombstone that was evicted',
      async (ctx) => {
        await ctx.invalidate('k', commit(200))
        await ctx.invalidate('x', commit(400))
        await ctx.redis.del(ctx.keys.generations[0]!)
      },
    ],
  ])('%s', async (_, given) => {
    await using ctx = await PartitionContext.open(at(100))
    await given(ctx)
    const told = requiredOf(await ctx.guard.inspect('k'), KEYSPACE)
    expect(told).not.toBe(ORIGIN)
    expect(told).toBe(await required(ctx.guard))
  })

  test('without a view nothing is', async () => {
    await using ctx = await PartitionContext.empty()
    expect(requiredOf(await ctx.guard.inspect('k'), KEYSPACE)).toBeNull()
  })
})
