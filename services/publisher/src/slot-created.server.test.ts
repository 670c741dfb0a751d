import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { PostgresServer } from '@tidemark/local'
import { epochOf, type Lsn, lsnOf, parseLsn } from '@tidemark/protocol'
import { Client } from 'pg'
import { Products } from './testing/products.ts'

let server: PostgresServer

beforeAll(async () => {
  server = await PostgresServer.start({ durable: false })
})

afterAll(() => server?.[Symbol.asyncDispose]())

const ORACLE = 'oracle'

test('I4: of commits that fall into the making of a slot each is before its epoch’s floor, or delivered', async () => {
  await using products = await Products.open(server.url())
  const { ctx, source } = products
  // What another slot, made before all of them, says of each commit.
  await ctx.sql.query("select pg_create_logical_replication_slot($1, 'test_decoding')", [ORACLE])
  const ending = new AbortController()
  const writers = [1, 2, 3].map((writer) => write(ctx.url, writer, ending.signal))
  await products.start()
  await ctx.untilTrue('some come after it', () => ctx.keys().length > 50)
  ending.abort()
  const written = (await Promise.all(writers)).reduce((a, b) => a + b)
  const commits = await commitsOf(products)
  expect(commits.size).toBe(written)
  const floor = lsnOf(ctx.records.find((r) => r.kind === 'epoch')!.position)
  const owed = [...commits].filter(([, endLsn]) => endLsn > floor).map(([key]) => key)
  expect(owed.length).toBeGreaterThan(50)
  expect(owed.length).toBeLessThan(written)
  await ctx.until('all that is owed', () => owed.every((key) => ctx.keys().includes(key)))
  expect(ctx.events().every((e) => lsnOf(e.version) >= floor && epochOf(e.version) === 1)).toBe(true)
  expect(source.slot).not.toBe(ORACLE)
})

test('I4: a slot that waits for a transaction that runs says for whose, and its epoch begins after it', async () => {
  await using products = await Products.open(server.url())
  const { ctx } = products
  await using running = await products.writing(1)
  const { rows } = await running.query<{ pid: number }>('select pg_backend_pid() as pid')
  ctx.start(products.source)
  await ctx.untilTrue('it says for whose', () => ctx.logged.some((l) => l.msg.startsWith('the slot is being made')))
  const report = ctx.logged.find((l) => l.msg.startsWith('the slot is being made'))!
  expect(report.heldBy).toMatchObject({ pid: rows[0]!.pid, application: 'a till', state: 'idle in transaction' })
  await running.query('commit')
  await ctx.follow(products.source)
  await products.announced(1)
  await products.insert(2)
  await products.published(2, 1)
})

test('I4: a slot that somebody else is making under our name is waited for, and made anew', async () => {
  await using products = await Products.open(server.url())
  const { ctx } = products
  const first = await products.start()
  await first.stop()
  await ctx.dropSlot(products.source)
  await using running = await products.writing(1)
  await using other = await connect(ctx.url)
  const made = other.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [products.source.slot])
  await ctx.untilTrue('it waits', () => products.slot<boolean>('confirmed_flush_lsn is null'))
  ctx.start(products.source, { minRetryMs: 20, maxRetryMs: 200 })
  await ctx.untilTrue('the publisher waits for it', () => products.logs('SLOT_ACTIVE'))
  await running.query('commit')
  await made
  await products.announced(2)
  expect(products.causes()).toHaveLength(2)
})

async function connect(url: string): Promise<Client & AsyncDisposable> {
  const client = new Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

/** Commits rows of its own, one after the other, until `signal` is aborted. @returns how many */
async function write(url: string, writer: number, signal: AbortSignal): Promise<number> {
  await using client = await connect(url)
  let written = 0
  for (; !signal.aborted; written++) {
    await client.query("insert into product values ($1, 'x')", [writer * 1_000_000 + written])
  }
  return written
}

/** Each key with the end of its commit. */
async function commitsOf({ ctx }: Products): Promise<Map<string, Lsn>> {
  const { rows } = await ctx.sql.query<{ lsn: string; data: string }>(
    "select lsn::text, data from pg_logical_slot_get_changes($1, null, null, 'include-xids', '0')",
    [ORACLE],
  )
  const commits = new Map<string, Lsn>()
  let keys: string[] = []
  for (const { lsn, data } of rows) {
    const id = /^table public\.product: INSERT: id\[integer\]:(\d+)/.exec(data)?.[1]
    if (id !== undefined) keys.push(`product:${id}`)
    if (data !== 'COMMIT') continue
    for (const key of keys) commits.set(key, parseLsn(lsn))
    keys = []
  }
  return commits
}
