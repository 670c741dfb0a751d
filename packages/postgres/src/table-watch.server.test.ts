import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { localServers } from '@tidemark/local'
import { defineSource } from '@tidemark/protocol'
import { Client } from 'pg'
import { ensureEpochTable, newestEpoch, recordEpoch } from './epoch.ts'
import { createPublication } from './publication.ts'
import { checkTables } from './replica-identity.ts'
import { announceChangedTables } from './table-watch.ts'

const database = `watch_${randomUUID().slice(0, 8)}`
const source = defineSource({
  name: 'watched',
  keyspaces: {
    items: { key: 'item:{id}', tables: { 'public.item': { id: 'id' } } },
    visits: { key: 'visit:{id}', tables: { 'public.visit': { id: 'id' } } },
    both: { key: 'both:{id}', tables: { 'public.item': { id: 'id' }, 'public.visit': { id: 'id' } } },
    places: {
      key: 'place:{id}',
      tables: { 'public.place': { id: 'id' } },
      contract: { reaction: 'update' },
      projection: { label: { column: 'label' } },
    },
  },
})
const slot = database
let admin: Client
let sql: Client

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return client
}

beforeAll(async () => {
  const { primaryUrl } = localServers()
  admin = await connected(primaryUrl)
  await admin.query(`create database ${database}`)
  const url = new URL(primaryUrl)
  url.pathname = `/${database}`
  sql = await connected(url.href)
  // The tests' role has the name of our own schema, which would come first.
  await sql.query('set search_path = public')
  await sql.query(`create publication ${database} for all tables`)
  await sql.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot])
  await ensureEpochTable(sql)
})

/** Each test has the tables as new, and an epoch that knows them. */
beforeEach(async () => {
  await sql.query(`
    drop schema public cascade; create schema public;
    truncate tidemark.epoch;
    create table item (id int primary key, n int, gone int);
    alter table item replica identity full;
    insert into item values (1, 1, 1);
    create table visit (id int primary key, n int) partition by range (id);
    create table visit_low partition of visit for values from (0) to (10);
    create table visit_mid partition of visit for values from (10) to (30) partition by range (id);
    create table visit_mid_1 partition of visit_mid for values from (10) to (20);
    create table visit_more (id int primary key, n int);
    create table place (id int, label text, n int);
    create unique index place_id on place (id);
    alter table place replica identity full`)
  await sql.query(`drop publication if exists ${source.publication}`)
  await sql.query(createPublication(source))
  const shape = await checkTables(sql, source)
  await recordEpoch(sql, source.name, { number: 1, systemIdentifier: 1n, timeline: 1, start: 1n, slot, shape })
  await said()
})

afterAll(async () => {
  await sql.query('select pg_drop_replication_slot($1)', [slot])
  await sql.end()
  await admin.query(`drop database ${database} with (force)`)
  await admin.end()
})

/** The messages in the stream since the last look. */
async function said(): Promise<string[]> {
  const { rows } = await sql.query<{ data: Buffer }>(
    `select data from pg_logical_slot_get_binary_changes($1, null, null,
       'proto_version', '1', 'publication_names', $2, 'messages', 'true')`,
    [slot, database],
  )
  return rows.flatMap(({ data }) => (data[0] === 0x4d ? [data.toString('utf8')] : []))
}

async function look() {
  const tables = await announceChangedTables(sql, source)
  return { tables, messages: (await said()).map((message) => /\{"keyspaces.*\}/.exec(message)?.[0]) }
}

const UNCHANGED = { tables: [], messages: [] }

test.each([
  ['a change of rows', 'update item set n = n + 1; insert into visit values (1, 1), (11, 1)'],
  ['a VACUUM', 'vacuum item'],
  ['a column that is added without a value', 'alter table item add extra int'],
  ['a column that is dropped', 'alter table item drop gone'],
  ['a column that no key needs, renamed', 'alter table item rename gone to surplus'],
  ['an index', 'create index on item (n)'],
  ['a column that no projection shows, renamed', 'alter table place rename n to m'],
  ['a unique index that takes another’s place', 'create unique index on place (id); drop index place_id'],
  ['another table', 'create table bystander (id int); truncate bystander'],
  [
    'another table in the publication',
    `create table bystander (id int); alter publication ${source.publication} add table bystander`,
  ],
  ['another publication of the table', 'create publication another for table item; drop publication another'],
])('%s is none', async (_, statement) => {
  for (const part of statement.split('; ')) await sql.query(part)
  expect(await look()).toEqual(UNCHANGED)
})

const ITEM = { tables: ['public.item'], messages: ['{"keyspaces":["items","both"]}'] }
const VISIT = { tables: ['public.visit'], messages: ['{"keyspaces":["visits","both"]}'] }
const PLACE = { tables: ['public.place'], messages: ['{"keyspaces":["places"]}'] }
const ALL = {
  tables: ['public.item', 'public.place', 'public.visit'],
  messages: ['{"keyspaces":["items","visits","both","places"]}'],
}

test.each([
  ['a TRUNCATE of a partition', 'truncate visit_low', VISIT],
  ['a TRUNCATE of a partition of a partition', 'truncate visit_mid_1', VISIT],
  ['a partition that is attached', 'alter table visit attach partition visit_more for values from (30) to (40)', VISIT],
  ['a partition that is detached', 'alter table visit detach partition visit_low', VISIT],
  ['a partition that is dropped', 'drop table visit_low', VISIT],
  [
    'a partition that was away for a while',
    'alter table visit detach partition visit_low; alter table visit attach partition visit_low for values from (0) to (10)',
    VISIT,
  ],
  [
    'a table that was out of the publication for a while',
    `alter publication ${source.publication} drop table item; alter publication ${source.publication} add table item`,
    ITEM,
  ],
  [
    'a publication that left out some kinds of change for a while',
    `alter publication ${source.publication} set (publish = 'insert');
     alter publication ${source.publication} set (publish = 'insert, update, delete, truncate')`,
    ALL,
  ],
  [
    'a publication that was dropped and made again',
    `drop publication ${source.publication}; ${createPublication(source)}`,
    ALL,
  ],
  ['rows rewritten under the same type', 'alter table item alter n type int using n + 1', ITEM],
  ['a column that gives old rows a value without a rewrite', 'alter table item add vat int not null default 19', ITEM],
  ['a column that a projection shows, renamed', 'alter table place rename label to name', PLACE],
  ['a column that a projection shows, of another type', 'alter table place alter label type varchar(9)', PLACE],
  ['columns that take each other’s names', 'alter table item rename id to was; alter table item rename n to id', ITEM],
  ['a table that is dropped and made again', 'drop table item; create table item (id int primary key)', ITEM],
  [
    'a table that is put in another’s place by renaming',
    'create table item_new (like item including all); alter table item rename to item_old; alter table item_new rename to item',
    ITEM,
  ],
])('%s is said in the stream, once, to the keyspaces of the table', async (_, statement, expected) => {
  await sql.query(statement)
  expect(await look()).toEqual(expected)
  expect(await look()).toEqual(UNCHANGED)
})

test.each([
  ['a table that is gone', 'alter table item rename to item_gone', 'TABLE_MISMATCH'],
  [
    'a table in another schema',
    'create schema if not exists attic; alter table item set schema attic',
    'TABLE_MISMATCH',
  ],
  [
    'a table without WAL',
    `alter publication ${source.publication} drop table item; alter table item set unlogged`,
    'TABLE_MISMATCH',
  ],
  ['a column of a key that is renamed', 'alter table item rename id to ident', 'TABLE_MISMATCH'],
  ['a replica identity of nothing', 'alter table item replica identity nothing', 'REPLICA_IDENTITY_INSUFFICIENT'],
  [
    'a replica identity whose index is dropped',
    'create unique index other on item (id); alter table item replica identity using index other; drop index other',
    'REPLICA_IDENTITY_INSUFFICIENT',
  ],
  [
    'a unique index that goes, so that two rows may have one key of what is updated in place',
    'drop index place_id',
    'KEY_OF_SEVERAL_ROWS',
  ],
])('%s ends the epoch and is refused', async (_, statement, code) => {
  await sql.query(statement)
  await expect(announceChangedTables(sql, source)).rejects.toMatchObject({ code })
  expect((await newestEpoch(sql, source.name))!.shape).toBeNull()
})

test('a table that changes between two looks at it is said too', async () => {
  await sql.query('truncate item')
  let layoutsRead = 0
  const disturbed = new Proxy(sql, {
    get: (client, name) => {
      if (name !== 'query') return Reflect.get(client, name)
      return async (text: string, values: unknown[]) => {
        const result = await client.query(text, values)
        if (text.includes('relfilenode') && ++layoutsRead === 1) await client.query('truncate visit_low')
        return result
      }
    },
  })
  const first = await announceChangedTables(disturbed, source)
  const second = await announceChangedTables(sql, source)
  expect([...new Set([...first, ...second])].sort()).toEqual(['public.item', 'public.visit'])
})

test('nothing is said in an epoch that may not be continued anyway', async () => {
  await sql.query('update tidemark.epoch set shape = null')
  await sql.query('truncate item')
  expect(await look()).toEqual(UNCHANGED)
})
