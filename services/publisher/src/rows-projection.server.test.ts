import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { SourceConfig } from '@tidemark/protocol'
import { RowsContext } from './testing/rows-context.ts'
import { MAX_TRANSACTION_PROJECTION_BYTES } from './transaction-projections.ts'

type Projection = NonNullable<SourceConfig['keyspaces'][string]['projection']>

/** One table `item` with the key `id`, whose row becomes the value. */
function openItems(columns: string, projection: Projection, more = '') {
  return RowsContext.open({
    tables: `set search_path = public; create table item (${columns}); ${more}`,
    keyspaces: {
      items: {
        key: 'item:{id}',
        tables: { 'public.item': { id: 'id' } },
        contract: { reaction: 'update' },
        projection,
      },
    },
  })
}

const NAMED = { id: { column: 'id', as: 'number' }, name: { column: 'name' } } as const

describe('what is updated in place', () => {
  let ctx: RowsContext
  beforeAll(async () => {
    ctx = await openItems('id int unique deferrable initially deferred not null, name text', NAMED, FULL)
  })
  afterAll(() => ctx[Symbol.asyncDispose]())

  /** What is published of each key when the table was empty and the statements have run. */
  async function after(...statements: readonly string[]) {
    await ctx.projections('truncate item')
    return ctx.projections(...statements)
  }

  test('a row that is inserted, updated or deleted is told with what it is then', async () => {
    const inserted = "insert into item values (1, 'Läufer'), (2, null)"
    const two = { 'item:1': { id: 1, name: 'Läufer' }, 'item:2': { id: 2, name: null } }
    expect(await after(inserted)).toEqual(two)
    expect(await ctx.projections("update item set name = 'b' where id = 1")).toEqual({ 'item:1': { id: 1, name: 'b' } })
    expect(await ctx.projections('delete from item where id = 1')).toEqual({ 'item:1': null })
  })

  test('a row that moves to another key is no value of the former one any more', async () => {
    await after("insert into item values (1, 'a')")
    expect(await ctx.projections('update item set id = 2')).toEqual({ 'item:1': null, 'item:2': { id: 2, name: 'a' } })
  })

  test('of several changes in one transaction the last decides, savepoints that are rolled back left out', async () => {
    const within = [
      'begin',
      "insert into item values (1, 'a')",
      'savepoint s',
      "update item set name = 'never'",
      'rollback to s',
      "insert into item values (2, 'b'), (3, 'c')",
      'delete from item where id = 2',
      "delete from item where id = 3; insert into item values (3, 'd')",
      'commit',
    ]
    expect(await after(...within)).toEqual({
      'item:1': { id: 1, name: 'a' },
      'item:2': null,
      'item:3': { id: 3, name: 'd' },
    })
  })

  test('rows that swap their keys, which a deferred constraint allows, are never given each other’s value', async () => {
    await after("insert into item values (1, 'one'), (2, 'two'), (3, 'three')")
    const told = await ctx.projections('update item set id = 1 + id % 3')
    expect(Object.keys(told)).toEqual(['item:1', 'item:2', 'item:3'])
    const { rows } = await ctx.sql.query('select id, name from item')
    const given = Object.values(told).filter((value) => value !== null)
    expect(given.length).toBeGreaterThan(0)
    expect(rows).toEqual(expect.arrayContaining(given))
  })

  test('a key that an app names is invalidated, and its row with it', async () => {
    const named = `select tidemark.invalidate('${ctx.source.name}', keys => '{item:1}')`
    const told = await after('begin', named, "insert into item values (1, 'a'), (2, 'b')", 'commit')
    expect(told).toEqual({ 'item:1': null, 'item:2': { id: 2, name: 'b' } })
  })

  test('a value that is too large to be sent is invalidated, and the next one is not', async () => {
    expect(await after("insert into item values (1, repeat('x', 20000))")).toEqual({ 'item:1': null })
    expect(await ctx.projections("update item set name = 'a'")).toEqual({ 'item:1': { id: 1, name: 'a' } })
  })

  test('a transaction of more projections than the bound invalidates all of its keys', async () => {
    const rows = Math.ceil(MAX_TRANSACTION_PROJECTION_BYTES / 10_000)
    const told = await after(`insert into item select i, repeat('x', 10000) from generate_series(1, ${rows}) i`)
    expect(Object.keys(told)).toHaveLength(rows)
    expect(Object.values(told).every((value) => value === null)).toBe(true)
  })

  test('a TOASTed value that a change left alone comes from the old image', async () => {
    const told = await after(
      'alter table item alter name set storage external',
      "insert into item values (1, repeat('n', 9000))",
      'begin',
      'update item set name = name',
      'alter table item add extra int',
      'update item set extra = 1',
      'commit',
    )
    expect(told).toEqual({ 'item:1': { id: 1, name: 'n'.repeat(9000) } })
  })
})

const FULL = 'alter table item replica identity full'

test('a TOASTed value that no image holds is invalidated, until it changes', async () => {
  await using ctx = await openItems('id int primary key, name text, n int', NAMED)
  await ctx.sql.query('alter table item alter name set storage external')
  const long = 'n'.repeat(9000)
  const whole = { 'item:1': { id: 1, name: long } }
  expect(await ctx.projections(`insert into item values (1, '${long}', 0)`)).toEqual(whole)
  expect(await ctx.projections('update item set n = 1')).toEqual({ 'item:1': null })
  // The old image of a key that changes holds the key alone, with a null for all else.
  expect(await ctx.projections('update item set id = 2')).toEqual({ 'item:1': null, 'item:2': null })
  expect(await ctx.projections("update item set name = 'a'")).toEqual({ 'item:2': { id: 2, name: 'a' } })
})

test('text is as Postgres prints it, whatever server and role say; what JSON cannot hold exactly is invalidated', async () => {
  await using ctx = await openItems(
    'id bigint primary key, at timestamptz, price numeric(30,2), is_sold boolean, more jsonb',
    {
      id: { column: 'id', as: 'number' },
      at: { column: 'at' },
      price: { column: 'price', as: 'number' },
      exact: { column: 'price' },
      sold: { column: 'is_sold', as: 'boolean' },
      more: { column: 'more', as: 'json' },
    },
  )
  const database = new URL(ctx.pub.url).pathname.slice(1)
  await ctx.sql.query(`alter database ${database} set timezone = 'Asia/Tokyo'`)
  const insert = (id: string, price: string) =>
    ctx.projections(`insert into item values (${id}, '2026-01-02 03:04:05+09', ${price}, true, '{"a":[1]}')`)
  expect(await insert('1', '19.90')).toEqual({
    'item:1': { id: 1, at: '2026-01-01 18:04:05+00', price: 19.9, exact: '19.90', sold: true, more: { a: [1] } },
  })
  expect(await insert('9007199254740993', '1')).toEqual({ 'item:9007199254740993': null })
  expect(await insert('3', '9007199254740993.00')).toEqual({ 'item:3': null })
  expect(await insert('4', "'NaN'")).toEqual({ 'item:4': null })
})

test('a column that is renamed is a floor, and from then on every change invalidates; the log says so once', async () => {
  await using ctx = await openItems('id int primary key, name text', NAMED)
  await ctx.projections("insert into item values (1, 'a')")
  const renamed = ['begin', 'alter table item rename name to label', "insert into item values (2, 'b')", 'commit']
  expect(await ctx.outcome(...renamed)).toEqual({ keys: [], floors: ['items'] })
  expect(await ctx.projections("insert into item values (3, 'c')")).toEqual({ 'item:3': null })
  const told = ctx.pub.logged.filter((l) => l.msg.startsWith('columns of a projection'))
  expect(told.map(({ lacking }) => lacking)).toEqual([['name']])
  // Back under its name it is as it was.
  const back = ['begin', 'alter table item rename label to name', "insert into item values (4, 'd')", 'commit']
  expect(await ctx.outcome(...back)).toEqual({ keys: [], floors: ['items'] })
  expect(await ctx.projections("insert into item values (5, 'e')")).toEqual({ 'item:5': { id: 5, name: 'e' } })
})

test('a column that is dropped invalidates; one that gets another type is a floor, and told as that type from then on', async () => {
  await using ctx = await openItems('id int primary key, name varchar(20), day date', {
    ...NAMED,
    day: { column: 'day' },
  })
  const first = { 'item:1': { id: 1, name: 'a', day: '2026-01-02' } }
  expect(await ctx.projections("insert into item values (1, 'a', '2026-01-02')")).toEqual(first)
  const retyped = ['begin', 'alter table item alter day type timestamp', "update item set name = 'b'", 'commit']
  expect(await ctx.outcome(...retyped)).toEqual({ keys: [], floors: ['items'] })
  const second = { 'item:1': { id: 1, name: 'c', day: '2026-01-02 00:00:00' } }
  expect(await ctx.projections("update item set name = 'c'")).toEqual(second)
  const dropped = ['begin', 'alter table item drop day', "update item set name = 'd'", 'commit']
  expect(await ctx.outcome(...dropped)).toEqual({ keys: [], floors: ['items'] })
  expect(await ctx.projections("update item set name = 'e'")).toEqual({ 'item:1': null })
})

test('a table whose column list hides a column of the projection invalidates', async () => {
  await using ctx = await RowsContext.open({
    tables: 'create table item (id int primary key, name text)',
    keyspaces: {
      items: {
        key: 'item:{id}',
        tables: { 'public.item': { id: 'id' } },
        contract: { reaction: 'update' },
        projection: NAMED,
      },
    },
    publication: 'for table item (id)',
  })
  expect(await ctx.projections("insert into item values (1, 'a')")).toEqual({ 'item:1': null })
  expect(ctx.pub.logged.some((l) => l.msg.startsWith('columns of a projection'))).toBe(true)
})

test('rows of partitions are told under their root’s name, also one that moves to another partition', async () => {
  await using ctx = await RowsContext.open({
    tables: `create table item (name text, id int primary key) partition by range (id);
      create table item_low partition of item for values from (0) to (10);
      create table item_high (id int primary key, n int, name text);
      alter table item_high drop n; alter table item attach partition item_high for values from (10) to (20)`,
    keyspaces: {
      items: {
        key: 'item:{id}',
        tables: { 'public.item': { id: 'id' } },
        contract: { reaction: 'update' },
        projection: NAMED,
      },
    },
  })
  expect(await ctx.projections("insert into item values ('a', 1), ('b', 11)")).toEqual({
    'item:1': { id: 1, name: 'a' },
    'item:11': { id: 11, name: 'b' },
  })
  expect(await ctx.projections('update item set id = 12 where id = 1')).toEqual({
    'item:1': null,
    'item:12': { id: 12, name: 'a' },
  })
})

test('a partition whose old images hold less than the root’s gives no value that they would have to give', async () => {
  await using ctx = await RowsContext.open({
    tables: `create table item (id int primary key, name text, n int) partition by range (id);
      create table item_low partition of item for values from (0) to (10);
      alter table item replica identity full;
      alter table item_low alter name set storage external`,
    keyspaces: {
      items: {
        key: 'item:{id}',
        tables: { 'public.item': { id: 'id' } },
        contract: { reaction: 'update' },
        projection: NAMED,
      },
    },
  })
  await ctx.projections("insert into item values (1, repeat('n', 9000), 0)")
  expect(await ctx.projections('update item set id = 2')).toEqual({ 'item:1': null, 'item:2': null })
})

test('a unique index that goes ends the publisher and the epoch: two rows may have one key', async () => {
  await using ctx = await openItems('id int primary key, name text', NAMED, FULL)
  await ctx.sql.query('alter table item drop constraint item_pkey')
  expect(await ctx.publisher.done).toMatchObject({ code: 'KEY_OF_SEVERAL_ROWS' })
  expect(await ctx.pub.value('select shape from tidemark.epoch')).toBeNull()
})

test('a projection that is another after a restart is a new epoch: readers are not handed both shapes', async () => {
  await using ctx = await openItems('id int primary key, name text', NAMED)
  await ctx.publisher.stop()
  const keyspace = { ...ctx.source.keyspaces.items!, projection: { name: { column: 'name', as: 'text' as const } } }
  ctx.pub.start({ ...ctx.source, keyspaces: { items: keyspace } })
  await ctx.pub.untilTrue(
    'it is open',
    () => ctx.pub.logged.filter((l) => l.msg === 'a new epoch is open').length === 2,
  )
  expect(ctx.pub.logged.find((l) => l.cause === 'keys')).toBeDefined()
})
