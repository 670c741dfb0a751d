import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { PostgresServer } from '@tidemark/local'
import { covers, epochOf, lsnOf, type Position, parseLsn } from '@tidemark/protocol'
import { Client } from 'pg'
import { PublisherContext } from './testing/publisher-context.ts'

// What waits for a synchronous standby needs a server of its own: the setting is the whole server's.

let server: PostgresServer

beforeAll(async () => {
  server = await PostgresServer.start({ durable: false, settings: { max_prepared_transactions: 8 } })
})

afterAll(() => server?.[Symbol.asyncDispose]())

const PRODUCTS = { products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } } as const

/** A table whose publisher has announced its first epoch. */
async function openPublished() {
  const ctx = await PublisherContext.open({ serverUrl: server.url() })
  await ctx.sql.query('create table product (id int primary key, name text)')
  const source = ctx.source(PRODUCTS)
  const first = ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  return { ctx, first }
}

/** Holds every commit back until it is disposed of. */
async function awayStandby(): Promise<AsyncDisposable> {
  await server.configure({ synchronous_standby_names: 'nobody' })
  return { [Symbol.asyncDispose]: () => server.configure({ synchronous_standby_names: '' }) }
}

async function connect(ctx: PublisherContext): Promise<Client> {
  const client = new Client({ connectionString: ctx.url })
  await client.connect()
  return client
}

test('I5: a commit that waits for a synchronous standby is held back, what comes after it too, and neither is lost', async () => {
  const { ctx } = await openPublished()
  await using _ctx = ctx
  const waiting = await connect(ctx)
  let committed = false
  let written: Promise<unknown>
  {
    await using _ = await awayStandby()
    written = waiting.query("insert into product values (1, 'unseen')").then(() => {
      committed = true
    })
    await ctx.untilTrue('the commit waits', async () =>
      ctx.value<boolean>("select count(*) = 1 from pg_stat_activity where wait_event = 'SyncRep' and datname = $1", [
        ctx.name,
      ]),
    )
    // Visible at once, and behind the other in the log.
    await ctx.sql.query("set synchronous_commit = local; insert into product values (2, 'seen')")
    await ctx.untilTrue('it is reported', () =>
      ctx.logged.some((l) => l.msg.includes('held back') && Number(l.ageMs) >= 1_000),
    )
    const told = parseLsn(await ctx.value<string>('select pg_current_wal_insert_lsn()::text'))
    expect(await ctx.value<number>('select count(*)::int from product')).toBe(1)
    expect(ctx.keys()).toEqual([])
    expect(ctx.records.some((r) => r.kind === 'watermark' && lsnOf(r.position) >= told)).toBe(false)
    expect(committed).toBe(false)
  }
  await written
  await ctx.until('both events', () => ctx.keys().length === 2)
  const [one, two] = ['product:1', 'product:2'].map((key) => ctx.events().find((e) => e.key === key)!)
  expect(one!.version < two!.version).toBe(true)
  await waiting.end()
})

test('I5: what is held back is on the log with its xid and who holds it, and passes by itself without a restart', async () => {
  const { ctx } = await openPublished()
  await using _ctx = ctx
  const waiting = await connect(ctx)
  {
    await using _ = await awayStandby()
    await waiting.query("set application_name = 'a till'")
    const pid = await waiting.query<{ pid: number }>('select pg_backend_pid() as pid')
    const written = waiting.query("insert into product values (1, 'unseen')")
    await ctx.untilTrue('it is reported', () => ctx.logged.some((l) => l.msg.includes('held back')))
    const report = ctx.logged.find((l) => l.msg.includes('held back'))!
    expect(report.xid).toBe(
      await ctx.value<number>('select backend_xid::text::int from pg_stat_activity where pid = $1', [pid.rows[0]!.pid]),
    )
    expect(report.holder).toMatchObject({ pid: pid.rows[0]!.pid, application: 'a till', waitsFor: 'IPC: SyncRep' })
    expect(JSON.stringify(ctx.logged)).not.toContain('unseen')
    // An operator gives up the wait: the commit stands, locally.
    await ctx.sql.query('select pg_cancel_backend($1)', [pid.rows[0]!.pid])
    await written
    await ctx.until('the event', () => ctx.keys().length === 1)
  }
  expect(ctx.logged.filter((l) => l.msg === 'opening the stream again')).toEqual([])
  await waiting.end()
})

test('I5: a prepared transaction whose commit waits for a standby is reported by its name', async () => {
  const { ctx } = await openPublished()
  await using _ctx = ctx
  const waiting = await connect(ctx)
  await waiting.query("begin; insert into product values (1, 'x'); prepare transaction 'order 7'")
  let written: Promise<unknown>
  {
    await using _ = await awayStandby()
    written = waiting.query("commit prepared 'order 7'")
    await ctx.untilTrue('it is reported', () => ctx.logged.some((l) => l.msg.includes('held back')))
    const report = ctx.logged.find((l) => l.msg.includes('held back'))!
    expect(report.holder).toMatchObject({ xid: report.xid, prepared: 'order 7', pid: null })
    expect(ctx.keys()).toEqual([])
  }
  await written
  await ctx.until('the event', () => ctx.keys().length === 1)
  await waiting.end()
})

test('I5: two thousand commits behind one that is held back pass in a few batches, with one snapshot for each', async () => {
  const { ctx } = await openPublished()
  await using _ctx = ctx
  const waiting = await connect(ctx)
  let written: Promise<unknown>
  await ctx.sql.query('set synchronous_commit = local')
  {
    await using _ = await awayStandby()
    written = waiting.query("insert into product values (0, 'first')")
    await ctx.untilTrue('the commit waits', async () =>
      ctx.value<boolean>("select count(*) = 1 from pg_stat_activity where wait_event = 'SyncRep' and datname = $1", [
        ctx.name,
      ]),
    )
    await ctx.sql.query(
      "do $$ begin for i in 1..2000 loop insert into product values (i, 'x'); commit; end loop; end $$",
    )
    expect(ctx.keys()).toEqual([])
  }
  await written
  await ctx.until('all events', () => ctx.keys().length === 2_001)
  // A batch is what one snapshot let through; its watermark comes last.
  const first = ctx.events().find((e) => e.key === 'product:0')!
  const batches = () =>
    ctx.records.flatMap((r) =>
      r.kind === 'watermark' && r.partition === 0 && covers(r.position, first.version) ? [r.position] : [],
    )
  const passedAll = (position: Position) => ctx.events().every((e) => covers(position, e.version))
  await ctx.until('the watermark of all', () => batches().some(passedAll))
  const passed = batches().findIndex(passedAll) + 1
  process.stderr.write(`2,001 commits passed the gate with ${passed} snapshots\n`)
  expect(passed).toBeLessThanOrEqual(5)
  await waiting.end()
})

test('I5: a new epoch is announced only once every transaction that ran at its start has ended', async () => {
  const { ctx, first } = await openPublished()
  await using _ctx = ctx
  await first.stop()
  await ctx.sql.query('update tidemark.epoch set timeline = 99')
  const running = await connect(ctx)
  await running.query("begin; insert into product values (1, 'running')")
  ctx.start(ctx.source(PRODUCTS))
  await ctx.untilTrue('it says what it waits for', () =>
    ctx.logged.some((l) => l.msg === 'the epoch waits for a running transaction'),
  )
  expect(await ctx.value<number>('select max(epoch) from tidemark.epoch')).toBe(2)
  expect(ctx.records.some((r) => r.kind === 'epoch' && epochOf(r.position) === 2)).toBe(false)
  await running.query('commit')
  await ctx.until('epoch 2 is announced', (records) =>
    records.some((r) => r.kind === 'epoch' && epochOf(r.position) === 2),
  )
  await ctx.until('the event', () => ctx.keys().length === 1)
  await running.end()
})
