import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { type Batch, Guard, type Invalidation, partitionKeys } from '@tidemark/guard'
import { RedisServer, waitUntil } from '@tidemark/local'
import { type Position, position, version } from '@tidemark/protocol'
import { RegionRedis, redisAt } from '@tidemark/redis'
import { serviceLog } from '@tidemark/service'
import { Redis } from 'ioredis'
import type { Surroundings } from './partition-applier.ts'
import { sheddingGuard } from './shedding.ts'

const MEGABYTE = 2 ** 20
const TOMBSTONES = 4_000
/** To a generation. */
const BATCHES = 8
const LIMITS = { perGeneration: TOMBSTONES, generationMs: 3_600_000 }
const KEYS = partitionKeys('tm', 0)

let server: RedisServer
let operator: Redis
let redis: RegionRedis
let shed: Partial<Record<string, number>> = {}
let next = 0n

beforeAll(async () => {
  server = await RedisServer.start({ settings: { 'maxmemory-policy': 'noeviction' } })
  operator = new Redis(server.url)
  redis = new RegionRedis(redisAt(server.url), { clientName: 'test', commandTimeoutMs: 5_000 })
  await waitUntil('it is connected', () => redis.ping().then(() => true), { timeoutMs: 10_000 })
})

afterAll(async () => {
  redis.close()
  operator.disconnect()
  await server[Symbol.asyncDispose]()
})

afterEach(async () => {
  await operator.config('SET', 'maxmemory', 0)
  await operator.flushall('SYNC')
  next = 0n
  shed = {}
})

const at = (lsn: number): Position => position(1, BigInt(lsn))
const event = (key: string, lsn: number): Invalidation => ({ key, version: version(1, BigInt(lsn)), retainStaleMs: 0 })

async function partition(): Promise<Surroundings['guard']> {
  const metrics = {
    shed: (what: string, count: number) => {
      shed[what] = (shed[what] ?? 0) + count
    },
  }
  const guard = sheddingGuard({ partition: 0, guard: rawGuard(), metrics, log: serviceLog('test', 'silent') })
  await guard.declareGap(0n, 'view-missing', null, 0)
  await apply(guard, [], 10)
  return guard
}

function rawGuard(): Guard {
  return new Guard(redis, KEYS)
}

async function apply(guard: Surroundings['guard'], events: readonly Invalidation[], watermark: number): Promise<void> {
  const batch: Batch = {
    ...{ from: next, next: next + 1n, epochStart: null, floors: [], events },
    watermark: { position: at(watermark), beatMs: Date.now() },
  }
  expect(await guard.apply(batch, LIMITS)).toMatchObject({ code: 'applied' })
  next += 1n
}

/** Grown in Redis: what was sent would count as used memory, for as long as the connection's buffer keeps its size. */
async function store(key: string, bytes: number): Promise<void> {
  const guard = rawGuard()
  await guard.lease(key, 'product', 'a'.repeat(16), 60_000, null)
  const value = { label: { low: at(10), high: at(10) }, loadedAt: null, ttlMs: 600_000, payload: Buffer.alloc(1) }
  expect(await guard.fill(key, 'product', 'a'.repeat(16), value)).toEqual({ code: 'stored' })
  await operator.setrange(KEYS.cell(key), bytes, 'end')
}

/** @param lackingBytes how much has to go before it takes writes again */
async function fillUp(lackingBytes: number): Promise<void> {
  const used = /used_memory:(\d+)/.exec(await operator.info('memory'))?.[1]
  await operator.config('SET', 'maxmemory', Number(used) - lackingBytes)
  await expect(operator.set('another', 'x')).rejects.toThrow(/^OOM/)
}

test('I2: a full Redis gives up the cells that changed, and the batch is applied', async () => {
  const guard = await partition()
  await store('product:1', MEGABYTE)
  await fillUp(MEGABYTE / 2)
  await apply(guard, [event('product:1', 20)], 21)
  expect(await rawGuard().look('product:1')).toMatchObject({ cell: null, view: { watermark: at(21), horizon: at(10) } })
  expect(shed).toEqual({ cells: 1 })
})

test('I6: where that is not enough old tombstones go, and the horizon rises over them', async () => {
  const guard = await partition()
  // The last is not full: its successor would take over, and the oldest would go without being shed.
  for (let batch = 0; batch < 3 * BATCHES + 1; batch += 1) {
    const events = Array.from({ length: TOMBSTONES / BATCHES }, (_, n) => event(`product:${batch}:${n}`, 100 + batch))
    await apply(guard, events, 101 + batch)
  }
  await fillUp(MEGABYTE / 2)
  // Valkey frees what is large behind DEL, where Redis does so before it answers: the worker tries again, too.
  const isApplied = () => apply(guard, [event('product:1', 500)], 501).then(() => true)
  await waitUntil('the batch is applied', isApplied, { timeoutMs: 10_000 })
  const view = await guard.view()
  expect(view).toMatchObject({ watermark: at(501), horizon: at(100 + 3 * BATCHES) })
  expect(Object.keys(view!.generations)).toContain(String(view!.current))
  expect(shed).toEqual({ cells: 0, tombstones: 3 })
})

test('I2, I3: where nothing helps the cells that changed are gone, the view grows old, and nothing is skipped', async () => {
  const guard = await partition()
  await store('product:1', 100)
  await operator.config('SET', 'maxmemory', 1)
  await expect(apply(guard, [event('product:1', 20)], 21)).rejects.toMatchObject({
    code: 'REDIS_FULL',
    retriable: true,
  })
  expect(await rawGuard().look('product:1')).toMatchObject({ cell: null, view: { watermark: at(10) } })
  await operator.config('SET', 'maxmemory', 0)
  await apply(guard, [event('product:1', 20)], 21)
  expect(await guard.view()).toMatchObject({ watermark: at(21) })
})
