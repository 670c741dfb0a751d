import { expect, test } from '@jest/globals'
import { RowsContext } from './testing/rows-context.ts'

const VISITS = { visits: { key: 'visit:{id}', tables: { 'public.visit': { id: 'id' } } } }

const TABLES = `
  create table visit (id int primary key, n int) partition by range (id);
  create table visit_low partition of visit for values from (0) to (10);
  create table visit_high partition of visit for values from (10) to (30) partition by range (id);
  create table visit_high_1 partition of visit_high for values from (10) to (20);
  create table visit_high_2 partition of visit_high for values from (20) to (30)`

function openVisits() {
  return RowsContext.open({ tables: TABLES, keyspaces: VISITS })
}

const FLOOR = { keys: [], floors: ['visits'] }

test('changes carry the root’s name at every level; a row that moves to another partition gives both keys', async () => {
  await using ctx = await openVisits()
  expect(await ctx.outcome('insert into visit values (1, 0), (11, 0), (21, 0)')).toEqual({
    keys: ['visit:1', 'visit:11', 'visit:21'],
    floors: [],
  })
  expect(await ctx.outcome('update visit set id = 12 where id = 1')).toEqual({
    keys: ['visit:1', 'visit:12'],
    floors: [],
  })
  expect(await ctx.outcome('update visit_high_2 set n = 1')).toEqual({ keys: ['visit:21'], floors: [] })
  expect(await ctx.outcome('delete from visit_high')).toEqual({
    keys: ['visit:11', 'visit:12', 'visit:21'],
    floors: [],
  })
})

test('a TRUNCATE of the root is a floor', async () => {
  await using ctx = await openVisits()
  expect(await ctx.outcome('truncate visit')).toEqual(FLOOR)
})

test('a TRUNCATE of a partition, which Postgres does not replicate through the root, is a floor soon after', async () => {
  await using ctx = await openVisits()
  await ctx.untilFloor('visits', () => ctx.sql.query('truncate visit_high_2'))
})

test('a new partition is followed', async () => {
  await using ctx = await openVisits()
  await ctx.sql.query('create table visit_new partition of visit for values from (40) to (50)')
  expect(await ctx.outcome('insert into visit values (41, 0)')).toMatchObject({ keys: ['visit:41'] })
})

test('a partition whose own replica identity lacks a key’s column gives floors at once, and then stops the publisher', async () => {
  await using ctx = await RowsContext.open({
    tables: `create table visit (id int, place int, primary key (id)) partition by range (id);
      create table visit_low partition of visit for values from (0) to (10);
      alter table visit replica identity full; alter table visit_low replica identity full`,
    keyspaces: { places: { key: 'place:{place}', tables: { 'public.visit': { place: 'place' } } } },
  })
  expect(await ctx.outcome('insert into visit values (1, 7)')).toEqual({ keys: ['place:7'], floors: [] })
  // The root's identity is not inherited: old images here hold the primary key alone, and Postgres does not say so.
  const made = 'create table visit_new partition of visit for values from (10) to (20)'
  const changed = await ctx.outcome(
    made,
    'insert into visit values (11, 8)',
    'update visit set place = 9 where id = 11',
  )
  expect(changed).toEqual({ keys: [], floors: ['places'] })
  expect(await ctx.publisher.done).toMatchObject({ code: 'REPLICA_IDENTITY_INSUFFICIENT' })
  await ctx.sql.query('alter table visit_new replica identity full')
  ctx.publisher = ctx.pub.start(ctx.source)
  await ctx.pub.until('a new epoch', (records) =>
    records.some((r) => r.kind === 'epoch' && r.position.startsWith('00000002')),
  )
})

test('a publication that names partitions instead of their root is refused for a source that names the root', async () => {
  await using ctx = await openVisits()
  await ctx.sql.query(`alter publication ${ctx.source.publication} set (publish_via_partition_root = false)`)
  const error = await ctx.publisher.done
  expect(error).toMatchObject({
    code: 'PUBLICATION_INCOMPLETE',
    mend: expect.stringContaining('publish_via_partition_root'),
  })
})

test('a source may name the partitions themselves: then each has its TRUNCATE, that of the root included', async () => {
  await using ctx = await RowsContext.open({
    tables: TABLES,
    keyspaces: {
      low: { key: 'low:{id}', tables: { 'public.visit_low': { id: 'id' } } },
      high: { key: 'high:{id}', tables: { 'public.visit_high_1': { id: 'id' } } },
    },
    publication: 'for table visit',
  })
  expect(await ctx.outcome('insert into visit values (1, 0), (11, 0)')).toEqual({
    keys: ['high:11', 'low:1'],
    floors: [],
  })
  expect(await ctx.outcome('update visit set id = 12 where id = 1')).toEqual({ keys: ['high:12', 'low:1'], floors: [] })
  expect(await ctx.outcome('truncate visit_low')).toEqual({ keys: [], floors: ['low'] })
  expect(await ctx.outcome('truncate visit')).toEqual({ keys: [], floors: ['high', 'low'] })
})

test('a TRUNCATE with CASCADE, or of several tables, is a floor of each of them and of nothing else', async () => {
  await using ctx = await RowsContext.open({
    tables: `create table author (id int primary key);
      create table book (id int primary key, author int references author);
      create table other (id int primary key); create table bystander (id int primary key)`,
    keyspaces: Object.fromEntries(
      ['author', 'book', 'other', 'bystander'].map((t) => [
        t,
        { key: `${t}:{id}`, tables: { [`public.${t}`]: { id: 'id' } } },
      ]),
    ),
  })
  expect(await ctx.outcome('truncate author cascade')).toEqual({ keys: [], floors: ['author', 'book'] })
  expect(await ctx.outcome('truncate other, book')).toMatchObject({ keys: [], floors: ['book', 'other'] })
  expect(await ctx.outcome('begin', 'truncate other', 'rollback')).toMatchObject({ keys: [] })
})
