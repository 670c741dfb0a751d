import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { createPublication } from '@tidemark/postgres'
import { after, covers, epochOf, lsnOf, parseLsn, position } from '@tidemark/protocol'
import { type Published, PublisherContext } from './testing/publisher-context.ts'

const PRODUCTS = { products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } } as const

async function openProducts() {
  const ctx = await PublisherContext.open()
  await ctx.sql.query('create table product (id int primary key, name text)')
  return ctx
}

function watermarks(records: readonly Published[], partition: number) {
  return records.filter((r) => r.kind === 'watermark' && r.partition === partition)
}

function epochs(records: readonly Published[]) {
  return [...new Set(records.flatMap((r) => (r.kind === 'epoch' ? [epochOf(r.position)] : [])))]
}

test('a row that changes becomes an event, and then a watermark covers it on every partition', async () => {
  await using ctx = await openProducts()
  const source = ctx.source(PRODUCTS)
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.filter((r) => r.kind === 'epoch').length === 2)
  await ctx.sql.query("insert into product values (1, 'one')")
  await ctx.until('the event', () => ctx.keys().includes('product:1'))
  const { version } = ctx.events()[0]!
  await ctx.until('a watermark that covers it, on both partitions', (records) =>
    [0, 1].every((p) => watermarks(records, p).some((w) => w.kind === 'watermark' && covers(w.position, version))),
  )
})

test('after the claim the epoch’s record comes first on every partition, and names the server and its history', async () => {
  await using ctx = await openProducts()
  const source = ctx.source(PRODUCTS)
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('watermarks everywhere', (records) => [0, 1].every((p) => watermarks(records, p).length > 0))
  const system = await ctx.value<string>('select system_identifier::text from pg_control_system()')
  const start = await ctx.value<string>('select start_lsn::text from tidemark.epoch where source = $1', [source.name])
  for (const partition of [0, 1]) {
    const [claim, first] = ctx.records.filter((r) => r.partition === partition)
    expect(claim).toMatchObject({ kind: 'claim', position: position(1, 0n) })
    expect(first).toMatchObject({ kind: 'epoch', systemIdentifier: BigInt(system), timeline: 1 })
    expect(first?.kind === 'epoch' && lsnOf(first.position)).toBe(parseLsn(start))
  }
})

test('a row that moves from one key to another gives both keys, and a deleted one its own', async () => {
  await using ctx = await PublisherContext.open()
  await ctx.sql.query('create table review (id int primary key, product_id int not null)')
  await ctx.sql.query('alter table review replica identity full')
  await ctx.sql.query('insert into review values (1, 10), (2, 20)')
  const source = ctx.source({
    reviews: { key: 'reviews:{product}', tables: { 'public.review': { product: 'product_id' } } },
  })
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query('update review set product_id = 11 where id = 1')
  await ctx.sql.query('delete from review where id = 2')
  await ctx.until('all three keys', () => ctx.keys().length === 3)
  expect(ctx.keys()).toEqual(['reviews:10', 'reviews:11', 'reviews:20'])
})

test('a key takes its TOASTed, unchanged column from the old image, and its changed column from the new one', async () => {
  await using ctx = await PublisherContext.open()
  await ctx.sql.query('create table page (id int primary key, path text not null, filler text, lang text)')
  await ctx.sql.query('alter table page alter path set storage external, alter filler set storage external')
  await ctx.sql.query('alter table page set (toast_tuple_target = 128), replica identity full')
  const path = 'p'.repeat(900)
  await ctx.sql.query("insert into page select 1, $1, repeat('f', 1800), 'en'", [path])
  const toasted = "select pg_relation_size(reltoastrelid) > 0 from pg_class where relname = 'page'"
  expect(await ctx.value(toasted)).toBe(true)
  const source = ctx.source({
    pages: { key: 'page:{path}:{lang}', tables: { 'public.page': { path: 'path', lang: 'lang' } } },
  })
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query("update page set lang = 'fr'")
  await ctx.until('both keys', () => ctx.keys().length === 2)
  expect(ctx.keys()).toEqual([`page:${path}:en`, `page:${path}:fr`])
})

test('I4: what Postgres records as confirmed is a position that was published as a watermark, not one more', async () => {
  await using ctx = await openProducts()
  const source = ctx.source(PRODUCTS)
  const publisher = ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query("insert into product values (1, 'one')")
  await ctx.until('the event', () => ctx.keys().includes('product:1'))
  const confirmed = () =>
    ctx.value<string>('select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1', [source.slot])
  const committed = lsnOf(ctx.events()[0]!.version)
  await ctx.untilTrue('the event is confirmed', async () => parseLsn(await confirmed()) > committed)
  await publisher.stop()
  const recorded = parseLsn(await confirmed())
  await ctx.until('the last watermark is read', (records) =>
    records.some((r) => r.kind === 'watermark' && lsnOf(r.position) >= recorded),
  )
  const published = ctx.records.filter((r) => r.kind === 'watermark').map((w) => lsnOf(w.position))
  expect(published).toContain(recorded)
})

test('an idle publication moves watermark, time and slot: writes elsewhere do not pin WAL', async () => {
  await using ctx = await openProducts()
  await ctx.sql.query('create table elsewhere (n int)')
  const source = ctx.source(PRODUCTS)
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query('insert into elsewhere select generate_series(1, 1000)')
  const inserted = parseLsn(await ctx.value<string>('select pg_current_wal_insert_lsn()::text'))
  const nowUs = BigInt(await ctx.value<string>('select (extract(epoch from clock_timestamp()) * 1000000)::bigint'))
  await ctx.until('the watermark passes them', (records) =>
    [0, 1].every((p) =>
      watermarks(records, p).some((w) => w.kind === 'watermark' && lsnOf(w.position) >= inserted && w.timeUs > nowUs),
    ),
  )
  await ctx.untilTrue('the slot passes them', async () =>
    ctx.value<boolean>('select confirmed_flush_lsn >= $2 from pg_replication_slots where slot_name = $1', [
      source.slot,
      await ctx.value<string>('select $1::text', [
        `${(inserted >> 32n).toString(16)}/${(inserted & 0xffffffffn).toString(16)}`,
      ]),
    ]),
  )
  expect(ctx.events()).toEqual([])
})

test('while nothing at all happens, watermarks with ever newer times go on at every beat', async () => {
  await using ctx = await openProducts()
  const source = ctx.source(PRODUCTS)
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  const times = () => new Set(ctx.records.flatMap((r) => (r.kind === 'watermark' ? [r.timeUs] : []))).size
  const before = times()
  await ctx.until('fifty more', () => times() >= before + 50)
})

test('an open transaction in an idle database does not stop time: its unflushed WAL is flushed', async () => {
  await using ctx = await openProducts()
  const source = ctx.source(PRODUCTS)
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query('begin')
  // By itself Postgres flushes such a tail every 15 seconds: once it might come in time, not three times.
  for (let id = 1; id <= 3; id++) {
    await ctx.sql.query("insert into product values ($1, 'uncommitted')", [id])
    const nowUs = BigInt(await ctx.value<string>('select (extract(epoch from clock_timestamp()) * 1000000)::bigint'))
    await waitUntil(
      'a watermark that is current after the insert',
      () => ctx.records.some((r) => r.kind === 'watermark' && r.timeUs > nowUs),
      {
        timeoutMs: 4_000,
      },
    )
  }
  expect(ctx.events()).toEqual([])
  await ctx.sql.query('commit')
  await ctx.until('the events', () => ctx.keys().length === 3)
})

test('a TRUNCATE becomes a floor just after its version, on every partition', async () => {
  await using ctx = await openProducts()
  const source = ctx.source(PRODUCTS)
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query("insert into product values (1, 'one')")
  await ctx.sql.query('truncate product')
  await ctx.until('the floor everywhere', (records) => records.filter((r) => r.kind === 'floor').length === 2)
  const floors = ctx.records.flatMap((r) => (r.kind === 'floor' ? [r] : []))
  expect(floors.map((f) => [f.partition, f.keyspace]).sort()).toEqual([
    [0, 'products'],
    [1, 'products'],
  ])
  expect(new Set(floors.map((f) => f.position)).size).toBe(1)
  expect(floors[0]!.position > after(ctx.events()[0]!.version)).toBe(true)
})

test('a transaction of more keys than the keyspace allows becomes a floor and no events', async () => {
  await using ctx = await openProducts()
  const source = ctx.source({ products: { ...PRODUCTS.products, maxKeysPerTransaction: 100 } })
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query("insert into product select n, 'x' from generate_series(1, 101) n")
  await ctx.until('the floor everywhere', (records) => records.filter((r) => r.kind === 'floor').length === 2)
  expect(ctx.events()).toEqual([])
  await ctx.sql.query("update product set name = 'y' where id <= 100")
  await ctx.until('as many events as are allowed', () => ctx.keys().length === 100)
})

test('a table whose template column is renamed underneath becomes a floor, not a silence', async () => {
  await using ctx = await openProducts()
  const source = ctx.source(PRODUCTS)
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query('alter table product rename id to ident')
  await ctx.sql.query("insert into product values (1, 'one')")
  await ctx.until('the floor everywhere', (records) => records.filter((r) => r.kind === 'floor').length === 2)
  expect(ctx.logged.some((l) => l.msg.startsWith('the shape of a table changed'))).toBe(true)
})

test('a partitioned table’s changes carry its own name, whichever partition they are in', async () => {
  await using ctx = await PublisherContext.open()
  await ctx.sql.query('create table visit (id int primary key, n int) partition by range (id)')
  await ctx.sql.query('create table visit_low partition of visit for values from (0) to (10)')
  await ctx.sql.query('create table visit_high partition of visit for values from (10) to (20)')
  const source = ctx.source({ visits: { key: 'visit:{id}', tables: { 'public.visit': { id: 'id' } } } })
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query('insert into visit values (1, 0)')
  await ctx.sql.query('update visit set id = 11 where id = 1')
  await ctx.until('both keys', () => ctx.keys().length === 2)
  expect(ctx.keys()).toEqual(['visit:1', 'visit:11'])
})

test('I4: a restart goes on in the same epoch, and what was committed meanwhile is delivered', async () => {
  await using ctx = await openProducts()
  const source = ctx.source(PRODUCTS)
  const first = ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query("insert into product values (1, 'one')")
  await ctx.until('the event', () => ctx.keys().includes('product:1'))
  await first.stop()
  await ctx.sql.query("insert into product values (2, 'two')")
  ctx.start(source)
  await ctx.until('the second event', () => ctx.keys().includes('product:2'))
  expect(new Set(ctx.records.map((r) => epochOf(r.kind === 'event' ? r.version : r.position)))).toEqual(new Set([1]))
  // Announced again, at the same position: whoever missed the first announcement has the second.
  const announced = ctx.records.filter((r) => r.kind === 'epoch')
  expect(announced.length).toBe(4)
  expect(new Set(announced.map((r) => r.kind === 'epoch' && r.position)).size).toBe(1)
})

test.each([
  ['was dropped', false],
  ['was dropped and made again by somebody else', true],
])('I4: a slot that %s opens a new epoch, whose floor covers what was missed', async (_, madeAgain) => {
  await using ctx = await openProducts()
  const source = ctx.source(PRODUCTS)
  const first = ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await first.stop()
  await ctx.dropSlot(source)
  await ctx.sql.query("insert into product values (1, 'missed')")
  const missed = parseLsn(await ctx.value<string>('select pg_current_wal_insert_lsn()::text'))
  if (madeAgain) await ctx.sql.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [source.slot])
  ctx.start(source)
  await ctx.until('epoch 2 is announced', (records) => epochs(records).includes(2))
  const announced = ctx.records.find((r) => r.kind === 'epoch' && epochOf(r.position) === 2)!
  expect(announced.kind === 'epoch' && lsnOf(announced.position) >= missed).toBe(true)
})

test('I4: a table that was out of the publication for a while ends the epoch: its changes were not delivered', async () => {
  await using ctx = await openProducts()
  await ctx.sql.query('create table other (id int primary key)')
  const source = ctx.source(PRODUCTS)
  const first = ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await ctx.sql.query(`alter publication ${source.publication} set table other`)
  await ctx.sql.query("insert into product values (1, 'missed')")
  expect(await first.done).toMatchObject({ code: 'PUBLICATION_INCOMPLETE' })
  await ctx.sql.query(`alter publication ${source.publication} add table product`)
  ctx.start(source)
  await ctx.until('epoch 2 is announced', (records) => epochs(records).includes(2))
})

test('I4: what changed while the publication was dropped, and made again by somebody, is covered', async () => {
  await using ctx = await openProducts()
  const source = ctx.source(PRODUCTS)
  const first = ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await first.stop()
  await ctx.sql.query(`drop publication ${source.publication}`)
  await ctx.sql.query("insert into product values (1, 'missed')")
  await ctx.sql.query(createPublication(source))
  const missed = parseLsn(await ctx.value<string>('select pg_current_wal_insert_lsn()::text'))
  ctx.start(source)
  // Up to Postgres 17 the change cannot be decoded, which costs the epoch; from 18 on it is left out in silence.
  const isCover = (r: Published) => (r.kind === 'floor' || r.kind === 'epoch') && lsnOf(r.position) >= missed
  await ctx.until('a floor or an epoch after it', (records) => records.some(isCover))
})

test('I4: a TRUNCATE while no publisher runs is a floor, and costs no epoch', async () => {
  await using ctx = await openProducts()
  const first = ctx.start(ctx.source(PRODUCTS))
  await ctx.follow(ctx.source(PRODUCTS))
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await first.stop()
  await ctx.sql.query('truncate product')
  ctx.start(ctx.source(PRODUCTS))
  await ctx.until('the floor', (records) => records.some((r) => r.kind === 'floor'))
  expect(epochs(ctx.records)).toEqual([1])
})

test('I4: keys that are made in another way than before begin a new epoch', async () => {
  await using ctx = await openProducts()
  const first = ctx.start(ctx.source(PRODUCTS))
  await ctx.follow(ctx.source(PRODUCTS))
  await ctx.until('the epoch is announced', (records) => epochs(records).length === 1)
  await first.stop()
  await ctx.sql.query('alter table product alter id type bigint')
  ctx.start(ctx.source(PRODUCTS))
  await ctx.until('epoch 2 is announced', (records) => epochs(records).includes(2))
})
