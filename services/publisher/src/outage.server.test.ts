import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { KafkaServer, PostgresServer, TcpProxy } from '@tidemark/local'
import { epochOf } from '@tidemark/protocol'
import { Kafka, logLevel } from 'kafkajs'
import { PublisherContext } from './testing/publisher-context.ts'

// These stop, freeze and kill servers: their own, not those that other tests use.

let postgres: PostgresServer
let kafka: KafkaServer

beforeAll(async () => {
  ;[postgres, kafka] = await Promise.all([
    PostgresServer.start({ durable: false, settings: { wal_sender_timeout: '2s' } }),
    KafkaServer.start(),
  ])
}, 120_000)

afterAll(async () => {
  await postgres?.[Symbol.asyncDispose]()
  await kafka?.[Symbol.asyncDispose]()
})

const PRODUCTS = { products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } } as const
const QUICK = { minRetryMs: 20, maxRetryMs: 200 }

async function openProducts() {
  const ctx = await PublisherContext.open({ serverUrl: postgres.url(), brokers: kafka.brokers })
  await ctx.sql.query('create table product (id int primary key, name text)')
  const source = ctx.source(PRODUCTS)
  return { ctx, source }
}

/** The way to the context's database through a network. */
function through(network: TcpProxy, ctx: PublisherContext): URL {
  const url = new URL(ctx.url)
  url.port = String(network.port)
  return url
}

function restarts(ctx: PublisherContext): number {
  return ctx.logged.filter((l) => l.msg === 'opening the stream again').length
}

function epochsOf(ctx: PublisherContext): number[] {
  return [...new Set(ctx.records.map((r) => epochOf(r.kind === 'event' ? r.version : r.position)))].sort()
}

function keysUpTo(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `product:${i + 1}`).sort()
}

test('I4: a Kafka that freezes confirms nothing, and what was in flight is sent again', async () => {
  const { ctx, source } = await openProducts()
  await using _ = ctx
  ctx.start(source, { ...QUICK, sendDeadlineMs: 1_000 })
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  kafka.pause()
  try {
    await ctx.sql.query("insert into product values (1, 'x')")
    const committed = await ctx.value<string>('select pg_current_wal_insert_lsn()::text')
    await ctx.untilTrue('it gives the producer up', () => restarts(ctx) >= 2)
    const query = 'select confirmed_flush_lsn < $2::text::pg_lsn from pg_replication_slots where slot_name = $1'
    expect(await ctx.value<boolean>(query, [source.slot, committed])).toBe(true)
  } finally {
    kafka.resume()
  }
  await ctx.until('the event', () => ctx.keys().includes('product:1'))
  expect(epochsOf(ctx)).toEqual([1])
})

test('a Kafka that is slow stops reading from Postgres, which is still answered and does not hang up', async () => {
  const { ctx, source } = await openProducts()
  await using _ = ctx
  // The server bears our silence for two seconds, and no beat comes to our help.
  const limits = { sendDeadlineMs: 30_000, maxBufferBytes: 20_000, maxBatchKeys: 10, silenceMs: 2_000, beatMs: 60_000 }
  ctx.start(source, { ...QUICK, ...limits })
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  kafka.pause()
  try {
    for (let i = 1; i <= 300; i++) await ctx.sql.query("insert into product values ($1, 'x')", [i])
    // Twice as long as Postgres would bear our silence.
    const since = await ctx.value<Date>('select now()')
    await ctx.untilTrue('longer than its patience', () =>
      ctx.value<boolean>("select now() > $1::timestamptz + interval '4 seconds'", [since]),
    )
    const active = 'select active from pg_replication_slots where slot_name = $1'
    expect(await ctx.value<boolean>(active, [source.slot])).toBe(true)
  } finally {
    kafka.resume()
  }
  await ctx.until('all events', () => ctx.keys().length === 300)
  expect(ctx.keys()).toEqual(keysUpTo(300))
  expect(restarts(ctx)).toBe(0)
})

test('I4: a Postgres that crashes and comes back goes on in the same epoch', async () => {
  const { ctx, source } = await openProducts()
  await using _ = ctx
  ctx.start(source, QUICK)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  await ctx.sql.query("insert into product values (1, 'x')")
  await ctx.until('the event', () => ctx.keys().includes('product:1'))
  await postgres.restart('immediate')
  await postgres.query("insert into product values (2, 'x')", [], ctx.name)
  await ctx.until('the second event', () => ctx.keys().includes('product:2'))
  expect(epochsOf(ctx)).toEqual([1])
  expect(restarts(ctx)).toBeGreaterThan(0)
})

test('a Postgres that is shut down in good order is not kept waiting by its subscriber', async () => {
  const { ctx, source } = await openProducts()
  await using _ = ctx
  ctx.start(source, QUICK)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  await postgres.query("insert into product values (1, 'x')", [], ctx.name)
  await postgres.restart('fast')
  await ctx.until('the event', () => ctx.keys().includes('product:1'))
  expect(epochsOf(ctx)).toEqual([1])
})

test('a walsender that falls silent is noticed, ended and replaced', async () => {
  const { ctx, source } = await openProducts()
  await using _ = ctx
  ctx.start(source, { ...QUICK, silenceMs: 600 })
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  const [row] = await postgres.query<{ pid: number }>(
    'select active_pid as pid from pg_replication_slots where slot_name = $1',
    [source.slot],
  )
  execFileSync('kill', ['-STOP', String(row!.pid)])
  try {
    await ctx.untilTrue('it is noticed', () => JSON.stringify(ctx.logged).includes('the server was silent'))
  } finally {
    execFileSync('kill', ['-CONT', String(row!.pid)])
  }
  await postgres.query("insert into product values (1, 'x')", [], ctx.name)
  await ctx.until('the event', () => ctx.keys().includes('product:1'))
  expect(epochsOf(ctx)).toEqual([1])
})

test('I4: a topic that is made anew while the publisher runs opens a new epoch', async () => {
  const { ctx, source } = await openProducts()
  await using _ = ctx
  ctx.start(source, { ...QUICK, sendDeadlineMs: 3_000 })
  await ctx.untilTrue('the epoch is open', () => ctx.logged.some((l) => l.msg === 'a new epoch is open'))
  await ctx.sql.query("insert into product values (1, 'x')").catch(() => undefined)
  const admin = new Kafka({ brokers: [kafka.brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  await ctx.untilTrue('something is published', async () =>
    (await admin.fetchTopicOffsets(source.topic)).every((p) => Number(p.high) > 3),
  )
  await admin.deleteTopics({ topics: [source.topic] })
  await admin.disconnect()
  await ctx.untilTrue('epoch 2 is open', () => ctx.logged.some((l) => l.msg === 'a new epoch is open' && l.epoch === 2))
})

test('a network that swallows everything is noticed on both connections, and the slot is taken back', async () => {
  const { ctx, source } = await openProducts()
  await using _ = ctx
  await using proxy = await TcpProxy.start(postgres.port)
  const url = through(proxy, ctx)
  // The server would never give up its half by itself.
  url.searchParams.set('options', '-c wal_sender_timeout=0')
  ctx.start(source, { ...QUICK, postgresUrl: url.href, silenceMs: 1_000, pulseDeadlineMs: 1_000 })
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  proxy.silence({ newConnections: 'forwarded' })
  await ctx.sql.query("insert into product values (1, 'x')")
  await ctx.until('the event', () => ctx.keys().includes('product:1'))
  expect(restarts(ctx)).toBeGreaterThan(0)
  expect(epochsOf(ctx)).toEqual([1])
})

test('the answer to an opening that a network swallows is not waited for: the server says that it has finished', async () => {
  const { ctx, source } = await openProducts()
  await using _ = ctx
  await using proxy = await TcpProxy.start(postgres.port)
  const url = through(proxy, ctx)
  await ctx.sql.query("begin; insert into product values (0, 'x')")
  ctx.start(source, { ...QUICK, postgresUrl: url.href, sendDeadlineMs: 2_000 })
  await ctx.untilTrue('the slot waits for the transaction', async () => {
    const query = `select from pg_stat_activity where datname = $1 and pid <> pg_backend_pid() and state = 'active'
      and query like '%pg_create_logical_replication_slot(%'`
    return (await postgres.query(query, [ctx.name])).length > 0
  })
  proxy.silence({ newConnections: 'forwarded' })
  await ctx.sql.query('commit')
  await ctx.untilTrue('it is noticed', () => JSON.stringify(ctx.logged).includes('its answer is lost'))
  await ctx.follow(source)
  await ctx.until('an epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
}, 120_000)
