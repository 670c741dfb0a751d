import { execFileSync } from 'node:child_process'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { PostgresServer } from '@tidemark/local'
import { isTidemarkError } from '@tidemark/protocol'
import { Client } from 'pg'
import { Products, QUICK } from './testing/products.ts'

// Somebody else's hands are on the slot here: none of it may pass for continuity.

let server: PostgresServer

async function damage(file: string): Promise<void> {
  const bytes = await readFile(file)
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 0xff, bytes.length - 1)
  await writeFile(file, bytes)
}

beforeAll(async () => {
  server = await PostgresServer.start({ durable: false, settings: { max_prepared_transactions: 8 } })
})

afterAll(() => server?.[Symbol.asyncDispose]())

test('I4: a slot dropped and made anew in mid-stream, at once, is a new epoch', async () => {
  await using products = await Products.open(server.url())
  // Time enough for all of it to happen before the publisher is back.
  await products.start({ minRetryMs: 3_000, maxRetryMs: 3_000 })
  await products.snatchSlot()
  await products.insert(1)
  await products.createSlot()
  await products.announced(2)
  expect(products.causes()).toEqual(['first', 'kafka'])
  await products.insert(2)
  await products.published(2, 2)
})

test('I4: a slot dropped in mid-stream is made again in a new epoch', async () => {
  await using products = await Products.open(server.url())
  await products.start({ minRetryMs: 3_000, maxRetryMs: 3_000 })
  await products.snatchSlot()
  await products.announced(2)
  expect(products.causes()).toEqual(['first', 'slot-missing'])
})

test('I4: a slot made anew between the check and the stream does not stream from its own position without a word', async () => {
  await using products = await Products.open(server.url())
  await using running = await products.opening()
  const { ctx, source } = products
  // A copy is there at once; a slot that is created would wait for the transaction too, and perhaps not be there in time.
  const copied = `${source.slot}_copied`
  await ctx.sql.query('select pg_copy_logical_replication_slot($1, $2)', [source.slot, copied])
  await products.insert(2)
  await ctx.sql.query('select pg_replication_slot_advance($1, pg_current_wal_flush_lsn())', [copied])
  await ctx.dropSlot(source)
  await ctx.sql.query('select pg_copy_logical_replication_slot($1, $2)', [copied, source.slot])
  await ctx.sql.query('select pg_drop_replication_slot($1)', [copied])
  await running.query('commit')
  await products.announced(3)
  expect(products.causes()).toEqual(['first', 'timeline', 'kafka'])
  expect(products.logs('its stream was to begin at')).toBe(true)
})

test('I4: a slot that somebody moved ahead while nobody streamed is a new epoch', async () => {
  await using products = await stopped()
  await products.insert(1)
  await products.ctx.sql.query('select pg_replication_slot_advance($1, pg_current_wal_flush_lsn())', [
    products.source.slot,
  ])
  products.ctx.start(products.source)
  await products.announced(2)
  expect(products.causes()).toEqual(['first', 'kafka'])
})

test('I4: a slot that sends prepared transactions in messages that we do not know is made anew', async () => {
  await using products = await stopped()
  await products.ctx.dropSlot(products.source)
  await products.createSlot(', false, true')
  expect(await products.slot('two_phase')).toBe(true)
  products.ctx.start(products.source)
  await products.announced(2)
  expect(products.causes()).toEqual(['first', 'slot-lost'])
  expect(await products.slot('two_phase')).toBe(false)
  await using app = await products.writing(1)
  await app.query("prepare transaction 'order 1'")
  try {
    await products.insert(2)
    await products.published(2, 2)
    expect(products.ctx.keys()).toEqual(['product:2'])
  } finally {
    await app.query("commit prepared 'order 1'")
  }
  await products.published(1, 2)
})

test('I4: a slot that was copied back from an older one repeats what was published, and misses nothing', async () => {
  await using products = await Products.open(server.url())
  const first = await products.start()
  const { ctx, source } = products
  const kept = `${source.slot}_kept`
  await ctx.sql.query('select pg_copy_logical_replication_slot($1, $2)', [source.slot, kept])
  await products.insert(1)
  await products.published(1, 1)
  await first.stop()
  await ctx.dropSlot(source)
  await products.insert(2)
  await ctx.sql.query('select pg_copy_logical_replication_slot($1, $2)', [kept, source.slot])
  const before = ctx.events().length
  ctx.start(source)
  await products.published(2, 1)
  const again = () => ctx.events().slice(before)
  await ctx.until('the first once more', () => again().some((e) => e.key === 'product:1'))
  expect(again()).toHaveLength(2)
  expect(products.causes()).toEqual(['first'])
})

test('I4: a server whose disk was put back stands before what was published: a new epoch', async () => {
  await using own = await PostgresServer.start({ durable: false })
  await using products = await Products.open(own.url())
  const data = join(own.dir, 'data')
  const first = await products.start()
  await first.stop()
  await own.stop()
  // With its owner, who is not the one who runs the test.
  execFileSync('cp', ['-a', data, `${data}.kept`])
  await own.start()
  products.ctx.start(products.source)
  await own.query("insert into product values (1, 'x')", [], products.ctx.name)
  await products.published(1, 1)
  await own.stop('immediate')
  await rm(data, { recursive: true })
  await rename(`${data}.kept`, data)
  await own.start()
  await products.announced(2)
  expect(products.causes()).toEqual(['first', 'went-back'])
})

test('I4: a slot from which the server cannot decode any more: after a few attempts a new epoch, not a loop', async () => {
  await using own = await PostgresServer.start({ durable: false })
  await using products = await Products.open(own.url())
  const first = await products.start()
  // With a transaction open, decoding from the checkpoint needs the snapshot that was stored there.
  const open = new Client({ connectionString: products.ctx.url })
  await open.connect()
  await open.query('begin; select pg_current_xact_id()')
  await own.query('checkpoint')
  await products.insert(1)
  await products.published(1, 1)
  await open.end()
  await first.stop()
  await own.stop()
  const snapshots = join(own.dir, 'data/pg_logical/snapshots')
  for (const name of await readdir(snapshots)) await damage(join(snapshots, name))
  await own.start()
  products.ctx.start(products.source, QUICK)
  await products.announced(2)
  expect(products.causes()).toEqual(['first', 'slot-undecodable'])
  const failures = products.ctx.logged.filter(({ err }) => (err as { code?: string })?.code === 'SLOT_UNDECODABLE')
  expect(failures).toHaveLength(3)
})

test.each([
  ['physical', 'select pg_create_physical_replication_slot($1)'],
  ['of another plugin', "select pg_create_logical_replication_slot($1, 'test_decoding')"],
])('a slot of that name that is %s is refused and left alone', async (_, sql) => {
  await using products = await Products.open(server.url())
  await products.ctx.sql.query(sql, [products.source.slot])
  await refusedAndLeft(products)
})

test('a slot of that name in another database is refused and left alone', async () => {
  await using products = await Products.open(server.url())
  await using elsewhere = await Products.open(server.url())
  await elsewhere.ctx.sql.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [products.source.slot])
  await refusedAndLeft(products)
})

async function refusedAndLeft(products: Products): Promise<void> {
  const error = await products.ctx.start(products.source).done
  expect(isTidemarkError(error, 'SLOT_MISMATCH')).toBe(true)
  expect(await products.slot('not active')).toBe(true)
}

/** A source whose publisher has ended, and whose slot is free. */
async function stopped(): Promise<Products> {
  const products = await Products.open(server.url())
  const first = await products.start()
  await first.stop()
  await products.ctx.untilTrue('the slot is free', () => products.slot<boolean>('not active'))
  return products
}
