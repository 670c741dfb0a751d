import { expect, test } from '@jest/globals'
import { PostgresServer } from '@tidemark/local'
import { lsnOf, parseLsn } from '@tidemark/protocol'
import { RowsContext } from './testing/rows-context.ts'

const ITEMS = { items: { key: 'item:{id}', tables: { 'public.item': { id: 'id' } } } }
const TABLE = 'set search_path = public; create table item (id int primary key, n int)'

function openItems(more = '') {
  return RowsContext.open({ tables: `${TABLE}; ${more}`, keyspaces: ITEMS })
}

function items(...ids: readonly number[]) {
  return { keys: ids.map((id) => `item:${id}`).sort(), floors: [] }
}

test('savepoints: what was rolled back is no event, what was kept is, nested ones included', async () => {
  await using ctx = await openItems()
  const statements = [
    'begin',
    'insert into item values (1, 0)',
    'savepoint a',
    'insert into item values (2, 0)',
    'savepoint b',
    'insert into item values (3, 0)',
    'rollback to b',
    'insert into item values (4, 0)',
    'release b',
    'rollback to a',
    'savepoint c',
    'insert into item values (5, 0)',
    'release c',
    'commit',
  ]
  expect(await ctx.outcome(...statements)).toEqual(items(1, 5))
  expect(await ctx.outcome('begin', 'insert into item values (9, 0)', 'rollback')).toEqual(items())
})

test('more subtransactions than a snapshot carries are one transaction of one version', async () => {
  await using ctx = await openItems()
  const subtransactions = `do $$ begin for i in 1..200 loop
    begin insert into item values (i, 0); if i % 2 = 0 then raise exception 'no'; end if; exception when others then null; end;
  end loop; end $$`
  const odd = Array.from({ length: 100 }, (_, i) => 2 * i + 1)
  expect(await ctx.outcome(subtransactions)).toEqual(items(...odd))
  expect(new Set(ctx.pub.events().map((e) => e.version)).size).toBe(1)
})

test('COPY, MERGE, ON CONFLICT and updates through another table are changes of rows like any other', async () => {
  await using ctx = await openItems('create table seed (id int, n int); insert into seed values (1, 1), (4, 4)')
  const copied = "copy item from program 'printf ''1\\t0\\n2\\t0\\n'''"
  expect(await ctx.outcome(copied)).toEqual(items(1, 2))
  const merged = `merge into item using seed on seed.id = item.id
    when matched then update set n = seed.n when not matched then insert values (seed.id, seed.n)`
  expect(await ctx.outcome(merged)).toEqual(items(1, 4))
  const upsert = 'insert into item values (2, 9), (5, 9) on conflict (id) do update set n = excluded.n'
  expect(await ctx.outcome(upsert)).toEqual(items(2, 5))
  expect(await ctx.outcome('insert into item values (2, 9), (6, 9) on conflict do nothing')).toEqual(items(6))
  expect(await ctx.outcome('update item set n = seed.n from seed where seed.id = item.id')).toEqual(items(1, 4))
  expect(await ctx.outcome('with gone as (delete from item where id = 6 returning id) select * from gone')).toEqual(
    items(6),
  )
})

test('what foreign keys, triggers and rules change is an event, too', async () => {
  await using ctx = await RowsContext.open({
    tables: `${TABLE};
      create table part (id int primary key, item int references item on delete cascade);
      create table note (id int primary key, item int references item on delete set null);
      alter table note replica identity full;
      create function touch() returns trigger language plpgsql as
        'begin update item set n = n + 1 where id = new.item; return new; end';
      create trigger touch after insert on part for each row execute function touch();
      create table inbox (id int);
      create rule into_item as on insert to inbox do instead insert into item values (new.id, 0)`,
    keyspaces: {
      ...ITEMS,
      parts: { key: 'part:{id}', tables: { 'public.part': { id: 'id' } } },
      notes: { key: 'notes-of:{item}', tables: { 'public.note': { item: 'item' } } },
    },
  })
  await ctx.outcome('insert into item values (1, 0)')
  expect(await ctx.outcome('insert into part values (7, 1)')).toEqual({ keys: ['item:1', 'part:7'], floors: [] })
  expect(await ctx.outcome('insert into note values (8, 1)')).toEqual({ keys: ['notes-of:1'], floors: [] })
  expect(await ctx.outcome('insert into inbox values (2)')).toEqual(items(2))
  const gone = { keys: ['item:1', 'notes-of:1', 'part:7'], floors: [] }
  expect(await ctx.outcome('delete from item where id = 1')).toEqual(gone)
})

test('a large transaction, or a part of one, that is rolled back after it was spilled leaves nothing; the stream goes on', async () => {
  await using server = await PostgresServer.start({ durable: false, settings: { logical_decoding_work_mem: '64kB' } })
  await using ctx = await RowsContext.open({ tables: TABLE, keyspaces: ITEMS, serverUrl: server.url() })
  const bulk = 'insert into item select n, 0 from generate_series(1, 20000) n'
  expect(await ctx.outcome('begin', bulk, 'rollback')).toEqual(items())
  const partly = [
    'begin',
    'insert into item values (1, 0)',
    'savepoint a',
    bulk.replace('(1,', '(2,'),
    'rollback to a',
    'commit',
  ]
  expect(await ctx.outcome(...partly)).toEqual(items(1))
  expect(ctx.pub.logged.filter((l) => l.msg === 'opening the stream again')).toEqual([])
})

test('prepared transactions: the version is that of COMMIT PREPARED, and ROLLBACK PREPARED is nothing', async () => {
  await using server = await PostgresServer.start({ durable: false, settings: { max_prepared_transactions: '5' } })
  await using ctx = await RowsContext.open({ tables: TABLE, keyspaces: ITEMS, serverUrl: server.url() })
  const prepare = (id: number) => ['begin', `insert into item values (${id}, 0)`, `prepare transaction 'p${id}'`]
  expect(await ctx.outcome(...prepare(1), ...prepare(2), 'insert into item values (3, 0)')).toEqual(items(3))
  const prepared = parseLsn(await ctx.pub.value<string>('select pg_current_wal_insert_lsn()::text'))
  expect(await ctx.outcome("commit prepared 'p1'", "rollback prepared 'p2'")).toEqual(items(1))
  expect(lsnOf(ctx.pub.events().at(-1)!.version) >= prepared).toBe(true)

  // One that is left open holds up a new epoch, which says so: it may yet commit before the epoch's start.
  await ctx.publisher.stop()
  await ctx.pub.dropSlot(ctx.source)
  for (const statement of prepare(4)) await ctx.sql.query(statement)
  ctx.publisher = ctx.pub.start(ctx.source)
  await ctx.pub.untilTrue('it says what it waits for', () =>
    ctx.pub.logged.some((l) => l.msg.startsWith('the slot waits for the transactions that were running')),
  )
  await ctx.sql.query("commit prepared 'p4'")
  await ctx.pub.until('the new epoch', (records) =>
    records.some((r) => r.kind === 'epoch' && r.position.startsWith('00000002')),
  )
})
