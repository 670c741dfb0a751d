import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { PublisherContext } from './testing/publisher-context.ts'
import { RowsContext } from './testing/rows-context.ts'

const NOTHING = { keys: [], floors: [] }

/** One table `item` whose column `k` is the key. */
function openKeyed(type: string) {
  return RowsContext.open({
    tables: `create table item (k ${type} primary key, n int)`,
    keyspaces: { items: { key: 'item:{k}', tables: { 'public.item': { k: 'k' } } } },
  })
}

test('a key that changes has an old and a new name; one that comes back in the same transaction has both, too', async () => {
  await using ctx = await openKeyed('int')
  await ctx.outcome('insert into item values (1, 0)')
  expect(await ctx.outcome('update item set k = 2')).toEqual({ keys: ['item:1', 'item:2'], floors: [] })
  const thereAndBack = ['begin', 'update item set k = 3', 'update item set k = 2', 'commit']
  expect(await ctx.outcome(...thereAndBack)).toEqual({ keys: ['item:2', 'item:3'], floors: [] })
})

test('an update that changes nothing is an event all the same: the row has a new version', async () => {
  await using ctx = await openKeyed('int')
  await ctx.outcome('insert into item values (1, 0)')
  expect(await ctx.outcome('update item set n = n')).toEqual({ keys: ['item:1'], floors: [] })
  expect(await ctx.outcome('update item set n = n where false')).toEqual(NOTHING)
})

const TYPES: readonly (readonly [what: string, type: string, value: string, text: string])[] = [
  [
    'a text with quotes, newlines, emoji and what keys encode',
    'text',
    "E'a''\"\\n😀: %{}\\te\\u0301'",
    'a\'"%0A😀%3A%20%25%7B%7D%09e\u0301',
  ],
  ['an empty text', 'varchar(9)', "''", ''],
  ['a uuid in capitals', 'uuid', "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['a char(n), padded', 'char(4)', "'ab'", 'ab%20%20'],
  ['a bytea, in hexadecimal', 'bytea', "'\\x00ff'", '\\x00ff'],
  ['a timestamptz, in UTC', 'timestamptz', "'2026-03-29 03:30+02'", '2026-03-29%2001%3A30%3A00+00'],
  ['an interval', 'interval', "'1 day 2 hours'", '1%20day%2002%3A00%3A00'],
  ['a float, in its shortest exact form', 'float8', '0.1::float8 + 0.2::float8', '0.30000000000000004'],
  ['a numeric, with the zeros it was given', 'numeric', '1.00', '1.00'],
  ['a numeric of a declared scale', 'numeric(9,2)', '1', '1.00'],
  ['a boolean', 'boolean', 'true', 't'],
  ['a bigint beyond what a double holds', 'bigint', '9007199254740993', '9007199254740993'],
  ['an enum', 'kind', "'a b'", 'a%20b'],
  ['a domain', 'sku', "'x1'", 'x1'],
  ['a composite', 'place', "row(1, 'a,b')", '(1,"a,b")'],
]

describe('a key of every type', () => {
  let ctx: RowsContext
  beforeAll(async () => {
    const tables = TYPES.map(([, type], i) => `create table typed_${i} (k ${type} primary key, n int)`)
    const own = [
      "create type kind as enum ('a b', 'c')",
      "create domain sku as text check (value <> '')",
      'create type place as (shelf int, bin text)',
    ]
    ctx = await RowsContext.open({
      tables: [...own, ...tables].join(';'),
      keyspaces: Object.fromEntries(
        TYPES.map((_, i) => [`k${i}`, { key: `k${i}:{k}`, tables: { [`public.typed_${i}`]: { k: 'k' } } }]),
      ),
    })
  })
  afterAll(() => ctx[Symbol.asyncDispose]())

  test.each(TYPES.map(([what, , value, text], i) => [what, i, value, text] as const))(
    '%s is written as Postgres prints it, in a row and in the replica identity alone',
    async (_, i, value, text) => {
      const expected = { keys: [`k${i}:${text}`], floors: [] }
      expect(await ctx.outcome(`insert into typed_${i} values (${value}, 0)`)).toEqual(expected)
      expect(await ctx.outcome(`delete from typed_${i}`)).toEqual(expected)
    },
  )
})

test('two texts of equal values are two keys: numeric 1.0 that becomes 1.00 gives both', async () => {
  await using ctx = await openKeyed('numeric')
  await ctx.outcome('insert into item values (1.0, 0)')
  expect(await ctx.outcome('update item set k = 1.00')).toEqual({ keys: ['item:1.0', 'item:1.00'], floors: [] })
})

test('keys do not depend on how the database, or the role in it, would have values printed', async () => {
  await using ctx = await RowsContext.open({
    tables: `create table item (k timestamptz, f float8, b bytea, i interval, m money, r regtype, n int);
      alter table item replica identity full`,
    keyspaces: {
      items: {
        key: 'item:{k}:{f}:{b}:{i}:{m}:{r}',
        tables: { 'public.item': { k: 'k', f: 'f', b: 'b', i: 'i', m: 'm', r: 'r' } },
      },
    },
  })
  await ctx.sql.query("insert into item values ('2026-01-02 03:04Z', 0.1, 'a', '25 hours', 1.5, 'public.item', 0)")
  const before = await ctx.outcome('update item set n = 1')
  const { name } = ctx.pub
  for (const setting of [
    "datestyle = 'German, DMY'",
    "timezone = 'Asia/Tokyo'",
    'extra_float_digits = -10',
    "bytea_output = 'escape'",
    "intervalstyle = 'iso_8601'",
    "search_path = 'public'",
    "client_encoding = 'LATIN1'",
  ]) {
    await ctx.sql.query(`alter database ${name} set ${setting}`)
  }
  await ctx.publisher.stop()
  ctx.publisher = ctx.pub.start(ctx.source)
  expect(await ctx.outcome('update item set n = 2')).toEqual(before)
  expect(before.keys).toHaveLength(1)
})

test('a null makes no key: a value that becomes null gives the old one alone, and a null that becomes one the new', async () => {
  await using ctx = await RowsContext.open({
    tables: 'create table item (id int primary key, k int); alter table item replica identity full',
    keyspaces: { items: { key: 'item:{k}', tables: { 'public.item': { k: 'k' } } } },
  })
  expect(await ctx.outcome('insert into item values (1, null)')).toEqual(NOTHING)
  expect(await ctx.outcome('update item set k = 1')).toEqual({ keys: ['item:1'], floors: [] })
  expect(await ctx.outcome('update item set k = null')).toEqual({ keys: ['item:1'], floors: [] })
  expect(await ctx.outcome('delete from item')).toEqual(NOTHING)
})

test('names of schemas, tables and columns that SQL would fold, or that hold quotes and dots, are followed', async () => {
  await using ctx = await RowsContext.open({
    tables: `create schema "My ""Shop"; create table "My ""Shop"."Order.Line" ("The Id" int primary key, "n'" int)`,
    keyspaces: { lines: { key: 'line:{id}', tables: { 'My "Shop.Order.Line': { id: 'The Id' } } } },
  })
  const line = '"My ""Shop"."Order.Line"'
  expect(await ctx.outcome(`insert into ${line} values (7, 0)`)).toEqual({ keys: ['line:7'], floors: [] })
})

const SLUGS = { slugs: { key: 'slug:{slug}', tables: { 'public.item': { slug: 'slug' } } } }

test('a generated column of a key that is not in the stream is refused at start', async () => {
  await using pub = await PublisherContext.open()
  await pub.sql.query(`create table item (id int primary key, slug text generated always as ('s-' || id) stored)`)
  await pub.sql.query('alter table item replica identity full')
  const error = await pub.start(pub.source(SLUGS)).done
  expect(String(error)).toMatch(/slug/)
  expect(error).toMatchObject({ code: expect.stringMatching(/TABLE_MISMATCH|PUBLICATION_INCOMPLETE/) })
})
