import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { CHANNEL, type Connection, type Reading, type RefillEvent } from '@tidemark/refill'
import { PipelineContext } from './pipeline/pipeline-context.ts'

const UPDATED = {
  contract: { reaction: 'update' },
  projection: { n: { column: 'n', as: 'number' }, at: { column: 'at' }, tags: { column: 'tags', as: 'json' } },
} as const
const COLUMNS = `alter table hot add at timestamptz not null default '2026-01-02 03:04:05.6+09', add tags jsonb not null default '["a"]'`
/** As the projection gives it: the text of a time is the publisher's, in UTC. */
const VALUE = `select n::int, (at at time zone 'UTC')::text || '+00' as at, tags from hot where id = $1`

interface Value {
  readonly n: number
  readonly at: string
  readonly tags: unknown
}

let context: PipelineContext

beforeAll(async () => {
  context = await PipelineContext.open(UPDATED)
  await context.primary.query(COLUMNS)
  await context.start()
})

afterAll(() => context?.[Symbol.asyncDispose]())

/** A row that is cached, and how often it was loaded. */
async function cached(id: number) {
  await context.primary.query('insert into hot values ($1, 1)', [id])
  await context.caughtUp()
  const loaded = { times: 0 }
  const tidemark = await context.tidemark({ replicas: [] })
  const values = tidemark.cache('hot', {
    load: async (db: Connection) => {
      loaded.times++
      return (await db.query<Value>(VALUE, [id])).rows[0]
    },
  })
  await values.get({ id })
  return { tidemark, values, loaded }
}

test('a row’s change is a hit with the new value, fresh and labelled by its commit, without any load', async () => {
  const { tidemark, values, loaded } = await cached(1)
  const before = await context.here()
  await context.primary.query('update hot set n = 2 where id = 1')
  await context.caughtUp()
  const reading = await values.read({ id: 1 })
  const value = { n: 2, at: '2026-01-01 18:04:05.6+00', tags: ['a'] }
  expect(reading).toMatchObject({ value, freshness: 'fresh', from: 'redis' })
  const { low, high } = reading.label!
  expect(low).toBe(high)
  expect(low > before && low <= (await context.here())).toBe(true)
  // What a load returns is the same, name by name.
  expect((await context.primary.query(VALUE, [1])).rows[0]).toEqual(value)
  const session = tidemark.session()
  await session.write((db) => db.query('update hot set n = 3 where id = 1'))
  await context.caughtUp()
  expect(await values.read({ id: 1 }, { session })).toMatchObject({ value: { n: 3 }, from: 'redis' })
  expect(loaded.times).toBe(1)
})

test('what is not known is loaded: a row that is deleted, and one that an app has invalidated', async () => {
  const { values, loaded } = await cached(2)
  const named = `select tidemark.invalidate('${context.name}', keys => '{hot:2}')`
  await context.primary.query(`begin; update hot set n = 2 where id = 2; ${named}; commit`)
  await context.caughtUp()
  expect(await values.read({ id: 2 })).toMatchObject({ value: { n: 2 }, from: 'primary' })
  await context.primary.query('delete from hot where id = 2')
  await context.caughtUp()
  expect(await values.read({ id: 2 })).toMatchObject({ value: undefined, from: 'primary' })
  expect(loaded.times).toBe(3)
})

test('while writers run, what a session is handed never goes back, and in the end it is the row', async () => {
  const { tidemark, values } = await cached(3)
  const session = tidemark.session()
  const writes = Array.from({ length: 4 }, async () => {
    for (let i = 0; i < 50; i++) await context.primary.query('update hot set n = n + 1 where id = 3')
  })
  const ended = Promise.all(writes).then(() => true)
  const readings: Reading<Value | undefined>[] = []
  for (let done = false; !done; done = await Promise.race([ended, false]))
    readings.push(await values.read({ id: 3 }, { session }))
  await context.caughtUp()
  readings.push(await values.read({ id: 3 }))
  expect(readings.at(-1)).toMatchObject({ value: { n: 201 }, freshness: 'fresh' })
  const numbers = readings.map((r) => r.value!.n)
  expect([...numbers].sort((a, b) => a - b)).toEqual(numbers)
  expect(readings.filter((r) => r.label?.low === r.label?.high).length).toBeGreaterThan(0)
})

test('a change that readers refresh behind is served as stale at once, then fresh, by one load', async () => {
  const contract = { reaction: 'refresh', whenUnprovable: 'serve-stale', retainStaleMs: 60_000 }
  await using refreshed = await PipelineContext.open({ contract })
  await refreshed.start()
  await refreshed.primary.query('insert into hot values (1, 1)')
  await refreshed.caughtUp()
  const counters = await refreshed.counters({ replicas: [] })
  await counters.get({ id: 1 })
  const refills: unknown[] = []
  const listener = (message: unknown) => {
    const event = message as RefillEvent
    if (event.event === 'refill' && event.source === refreshed.name) refills.push(event.outcome)
  }
  subscribe(CHANNEL, listener)
  try {
    await refreshed.primary.query('update hot set n = 2 where id = 1')
    await refreshed.caughtUp()
    const readings = await Promise.all(Array.from({ length: 20 }, () => counters.read({ id: 1 })))
    for (const reading of readings) {
      expect(reading).toMatchObject({ value: 1, freshness: 'stale', doubt: 'retained', from: 'redis' })
    }
    await waitUntil('it is refreshed', () => refills.length > 0, { timeoutMs: 30_000 })
    expect(await counters.read({ id: 1 })).toMatchObject({ value: 2, freshness: 'fresh', from: 'redis' })
    expect(refills).toEqual(['stored'])
  } finally {
    unsubscribe(CHANNEL, listener)
  }
})
