import { expect, test } from '@jest/globals'
import { PostgresServer } from '@tidemark/local'
import { covers, epochOf, ORIGIN, type Position } from '@tidemark/protocol'
import { PRODUCTS } from './testing/products.ts'
import { type Published, PublisherContext } from './testing/publisher-context.ts'
import { PublisherProcess } from './testing/publisher-process.ts'

/** Holds the partition's records against I3 and I4: an event that is new comes before every watermark that covers it. */
function lateEvents(records: readonly Published[], partition: number): string[] {
  const seen = new Set<string>()
  const late: string[] = []
  let watermark: Position = ORIGIN
  for (const record of records.filter((r) => r.partition === partition)) {
    if (record.kind === 'watermark' && record.position > watermark) watermark = record.position
    if (record.kind !== 'event') continue
    const name = `${record.key} ${record.version}`
    if (!seen.has(name) && covers(watermark, record.version)) late.push(name)
    seen.add(name)
  }
  return late
}

// Four starts of a process, on whatever machine.
test('I4: a process that is killed again and again loses nothing, and no watermark passes what it had not sent', async () => {
  await using ctx = await PublisherContext.open()
  await ctx.sql.query('create table product (id int primary key, name text)')
  const source = ctx.source(PRODUCTS)
  let running = await PublisherProcess.start(ctx)
  try {
    await ctx.follow(source)
    await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
    let written = 0
    for (let kills = 0; kills < 3; kills++) {
      const before = ctx.keys().length
      for (let i = 0; i < 100; i++) await ctx.sql.query("insert into product values ($1, 'x')", [++written])
      await ctx.untilTrue('it is in the middle of them', () => ctx.keys().length > before)
      await running[Symbol.asyncDispose]()
      for (let i = 0; i < 20; i++) await ctx.sql.query("insert into product values ($1, 'x')", [++written])
      running = await PublisherProcess.start(ctx)
    }
    await ctx.untilTrue('everything is delivered', () => ctx.keys().length === written)
    expect([0, 1].flatMap((partition) => lateEvents(ctx.records, partition))).toEqual([])
    expect(new Set(ctx.events().map((e) => epochOf(e.version)))).toEqual(new Set([1]))
  } finally {
    await running[Symbol.asyncDispose]()
  }
}, 180_000)

test('a process that is asked to end does so in good order, and its slot is free at once', async () => {
  await using ctx = await PublisherContext.open()
  await ctx.sql.query('create table product (id int primary key, name text)')
  const source = ctx.source(PRODUCTS)
  await using running = await PublisherProcess.start(ctx)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  expect(await running.stop()).toBe(0)
  await ctx.untilTrue('the slot is free', () =>
    ctx.value<boolean>('select not active from pg_replication_slots where slot_name = $1', [source.slot]),
  )
})

test('a process that is frozen loses its slot within its silence, whatever the server’s own timeout', async () => {
  await using server = await PostgresServer.start({ durable: false, settings: { wal_sender_timeout: 0 } })
  await using ctx = await PublisherContext.open({ serverUrl: server.url() })
  await ctx.sql.query('create table product (id int primary key, name text)')
  const source = ctx.source(PRODUCTS)
  await using running = await PublisherProcess.start(ctx, { TIDEMARK_POSTGRES_SILENCE_MS: '2000' })
  const free = 'select not active from pg_replication_slots where slot_name = $1'
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  expect(await ctx.value<boolean>(free, [source.slot])).toBe(false)
  running.freeze()
  const frozenAt = performance.now()
  await ctx.untilTrue('the slot is free', () => ctx.value<boolean>(free, [source.slot]))
  expect(performance.now() - frozenAt).toBeLessThan(6_000)
})

test('what nobody but an operator can mend ends the process with the code on its last line', async () => {
  await using ctx = await PublisherContext.open()
  await using running = await PublisherProcess.start(ctx)
  expect(await running.ended()).toBe(1)
  expect(running.lines.at(-1)).toContain('TABLE_MISMATCH')
})

test('the endpoint says not ready before the first beat, ready after it, and counts events', async () => {
  await using ctx = await PublisherContext.open()
  await ctx.sql.query('create table product (id int primary key, name text)')
  const source = ctx.source(PRODUCTS)
  await using running = await PublisherProcess.start(ctx)
  const port = await running.telemetryPort()
  const get = async (path: string) => fetch(`http://127.0.0.1:${port}${path}`)
  await ctx.follow(source)
  await ctx.untilTrue('it is ready', async () => (await get('/readyz')).status === 200)
  await ctx.sql.query("insert into product values (1, 'x')")
  await ctx.untilTrue('the event is counted', async () =>
    /^tidemark_publisher_events_total\{.*keyspace="products".*\} 1$/m.test(await (await get('/metrics')).text()),
  )
  const scrape = await (await get('/metrics')).text()
  expect(scrape).toMatch(/^tidemark_publisher_epoch(\{.*\})? 1$/m)
  expect(scrape).toMatch(/^tidemark_publisher_standby(\{.*\})? 0$/m)
  // The slot is looked at every two seconds.
  await ctx.untilTrue('what it retains is known', async () =>
    /^tidemark_publisher_slot_retained_bytes/m.test(await (await get('/metrics')).text()),
  )
  expect(scrape).not.toMatch(/^tidemark_publisher_held_back_seconds/m)
})
