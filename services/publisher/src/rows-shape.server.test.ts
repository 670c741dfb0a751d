import { expect, test } from '@jest/globals'
import { RowsContext } from './testing/rows-context.ts'

const FLOOR = { keys: [], floors: ['items'] }

/** One table `item` with the key `id`, in a publication of all tables: also what takes its place is followed. */
function openItems(columns = 'id int primary key, n int') {
  return RowsContext.open({
    tables: `set search_path = public; create table item (${columns})`,
    keyspaces: { items: { key: 'item:{id}', tables: { 'public.item': { id: 'id' } } } },
    publication: 'for all tables with (publish_via_partition_root = true)',
  })
}

test('a column of a key that is renamed gives floors at once, and then stops the publisher with what is missing', async () => {
  await using ctx = await openItems()
  await ctx.outcome('insert into item values (1, 0)')
  const statements = [
    'begin',
    'insert into item values (2, 0)',
    'alter table item rename id to ident',
    'update item set n = 1',
  ]
  expect(await ctx.outcome(...statements, 'commit')).toEqual(FLOOR)
  expect(await ctx.publisher.done).toMatchObject({
    code: 'TABLE_MISMATCH',
    message: expect.stringContaining('no column id'),
  })
})

test('a column of a key that gets another type is a floor with the next change, also in the same transaction', async () => {
  await using ctx = await openItems()
  await ctx.outcome('insert into item values (1, 0)')
  const statements = ['begin', 'alter table item alter id type bigint', 'insert into item values (2, 0)', 'commit']
  expect(await ctx.outcome(...statements)).toEqual(FLOOR)
})

test('columns that no key needs come, go, and change their names without a floor, in the middle of a transaction, too', async () => {
  await using ctx = await openItems('first int, id int primary key, n int')
  await ctx.outcome('insert into item values (0, 1, 0)')
  const statements = [
    'begin',
    'update item set n = 1',
    'alter table item drop first',
    'alter table item add extra text',
    'alter table item rename n to m',
    "insert into item values (2, 0, 'x')",
    'commit',
  ]
  expect(await ctx.outcome(...statements)).toEqual({ keys: ['item:1', 'item:2'], floors: [] })
})

test('rows that are rewritten under the same type, of which the stream says nothing, are a floor soon after', async () => {
  await using ctx = await openItems()
  await ctx.outcome('insert into item values (1, 0)')
  await ctx.untilFloor('items', () => ctx.sql.query('alter table item alter n type int using n + 1'))
})

test('a table that is renamed, changed and renamed back in one transaction is a floor, not a silence', async () => {
  await using ctx = await openItems()
  const statements = [
    'begin',
    'alter table item rename to away',
    'insert into away values (1, 0)',
    'alter table away rename to item',
    'commit',
  ]
  expect(await ctx.outcome(...statements)).toEqual(FLOOR)
})

test.each([
  ['renamed', 'alter table item rename to away', 'away'],
  ['moved to another schema', 'create schema attic; alter table item set schema attic', 'attic.item'],
])('a table that is %s is a floor with its next change, under whatever name', async (_, statement, name) => {
  await using ctx = await openItems()
  await ctx.outcome('insert into item values (1, 0)')
  expect(await ctx.outcome('begin', statement, `insert into ${name} values (2, 0)`, 'commit')).toEqual(FLOOR)
})

test('a table in a schema that is renamed is a floor with its next change, or goes on under its former name (15)', async () => {
  await using ctx = await openItems()
  await ctx.outcome('insert into item values (1, 0)')
  const renamed = 'alter schema public rename to was; create schema public'
  const changed = await ctx.outcome('begin', renamed, 'insert into was.item values (2, 0)', 'commit')
  expect([FLOOR, { keys: ['item:2'], floors: [] }]).toContainEqual(changed)
})

test.each([
  ['dropped and made again', 'drop table item; create table item (id int primary key, n int)'],
  [
    'swapped by renaming',
    'create table item_new (id int primary key, n int); alter table item rename to item_old; alter table item_new rename to item',
  ],
])('a table that is %s is a floor with its next change', async (_, statement) => {
  await using ctx = await openItems()
  await ctx.outcome('insert into item values (1, 0)')
  expect(await ctx.outcome('begin', statement, 'insert into item values (1, 1)', 'commit')).toEqual(FLOOR)
})

test('a swap by renaming is a floor soon after, without any change', async () => {
  await using ctx = await openItems()
  await ctx.untilFloor('items', () =>
    ctx.sql.query(
      'create table item_new (id int primary key, n int); alter table item rename to item_old; alter table item_new rename to item',
    ),
  )
})

test.each([
  ['the default one', 'alter table item replica identity default'],
  ['nothing', 'alter table item replica identity nothing'],
  [
    'an index that is then dropped',
    'create unique index i on item (no); alter table item replica identity using index i; drop index i',
  ],
])('a replica identity that becomes %s gives a floor with the next change', async (_, statement) => {
  await using ctx = await RowsContext.open({
    tables: `set search_path = public; create table item (no int primary key, id int not null);
      alter table item replica identity full`,
    keyspaces: { items: { key: 'item:{id}', tables: { 'public.item': { id: 'id' } } } },
  })
  expect(await ctx.outcome('insert into item values (1, 10)')).toEqual({ keys: ['item:10'], floors: [] })
  expect(await ctx.outcome('begin', statement, 'insert into item values (2, 20)', 'commit')).toEqual(FLOOR)
})

test.each([
  ['a table that is renamed', 'alter table item rename to away', 'TABLE_MISMATCH', /no table public.item/],
  [
    'a replica identity of nothing',
    'alter table item replica identity nothing',
    'REPLICA_IDENTITY_INSUFFICIENT',
    /ALTER/,
  ],
])(
  '%s stops the publisher soon after, without any change, and the next start is a new epoch',
  async (_, sql, code, message) => {
    await using ctx = await openItems()
    await ctx.sql.query(sql)
    expect(await ctx.publisher.done).toMatchObject({ code, message: expect.stringMatching(message) })
    expect(await ctx.pub.value('select shape from tidemark.epoch')).toBeNull()
  },
)

test('unchanged TOASTed values that no key needs do not matter; those of a key come from the old image', async () => {
  await using ctx = await RowsContext.open({
    tables: `set search_path = public; create table page (id int primary key, path text not null, body text, n int);
      alter table page alter path set storage external, alter body set storage external,
        replica identity full, set (toast_tuple_target = 128)`,
    keyspaces: {
      pages: { key: 'page:{path}', tables: { 'public.page': { path: 'path' } } },
      'by-id': { key: 'id:{id}', tables: { 'public.page': { id: 'id' } } },
    },
  })
  const path = 'p'.repeat(900)
  await ctx.outcome(`insert into page values (1, '${path}', repeat('b', 9000), 0)`)
  expect(await ctx.outcome('update page set n = 1')).toEqual({ keys: ['id:1', `page:${path}`], floors: [] })
})
