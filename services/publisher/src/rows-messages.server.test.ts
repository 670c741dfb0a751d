import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { covers, lsnOf, parseLsn } from '@tidemark/protocol'
import { RowsContext } from './testing/rows-context.ts'

const EVERYTHING = { keys: [], floors: ['pages', 'products', 'tag'] }
const NOTHING = { keys: [], floors: [] }

let ctx: RowsContext

beforeAll(async () => {
  ctx = await RowsContext.open({
    tables: 'set search_path = public; create table product (id int primary key, n int)',
    keyspaces: {
      products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } }, maxKeysPerTransaction: 3 },
      // What no table shows.
      pages: { key: 'page:{path}', tables: {} },
    },
  })
})
afterAll(() => ctx[Symbol.asyncDispose]())

function invalidate(args: string): string {
  return `select tidemark.invalidate('${ctx.source.name}', ${args})`
}

function emit(content: string, transactional = true): string {
  return `select pg_logical_emit_message(${transactional}, 'tidemark.${ctx.source.name}', '${content}')`
}

test('keys, tags and keyspaces, each in its own form, also of a keyspace without tables', async () => {
  expect(await ctx.outcome(invalidate("keys => '{product:1,page:a%3Ab}', tags => '{sale}'"))).toEqual({
    keys: ['page:a%3Ab', 'product:1', 'tag:sale'],
    floors: [],
  })
  expect(await ctx.outcome(invalidate("tags => array['50% off: now']"))).toEqual({
    keys: ['tag:50%25%20off%3A%20now'],
    floors: [],
  })
  expect(await ctx.outcome(invalidate("keyspaces => '{pages}'"))).toEqual({ keys: [], floors: ['pages'] })
  expect(await ctx.outcome(invalidate("keyspaces => '{tag}'"))).toEqual({ keys: [], floors: ['tag'] })
})

test('a message has the version of its transaction, and is unsaid with it', async () => {
  const before = parseLsn(await ctx.pub.value<string>('select pg_current_wal_insert_lsn()::text'))
  const statements = ['begin', invalidate("tags => '{t}'"), 'insert into product values (7, 0)', 'commit']
  expect(await ctx.outcome(...statements)).toEqual({ keys: ['product:7', 'tag:t'], floors: [] })
  const [row, tag] = ['product:7', 'tag:t'].map((key) => ctx.pub.events().findLast((e) => e.key === key)!)
  expect(tag!.version).toBe(row!.version)
  expect(tag).toMatchObject({ keyspace: 'tag' })
  expect(lsnOf(tag!.version) >= before).toBe(true)
  expect(await ctx.outcome('begin', invalidate("keys => '{product:8}'"), 'rollback')).toEqual(NOTHING)
  const savepoint = ['begin', 'savepoint a', invalidate("keys => '{product:8}'"), 'rollback to a', 'commit']
  expect(await ctx.outcome(...savepoint)).toEqual(NOTHING)
})

test('the watermark that covers a message comes after its event', async () => {
  await ctx.outcome(invalidate("keys => '{page:order}'"))
  const event = ctx.pub.events().find((e) => e.key === 'page:order')!
  const before = ctx.pub.records.filter((r) => r.partition === event.partition && r.offset < event.offset)
  expect(before.filter((r) => r.kind === 'watermark' && covers(r.position, event.version))).toEqual([])
})

test('more keys than the keyspace allows are a floor, rows and messages counted together', async () => {
  const statements = [
    'begin',
    'insert into product values (11, 0), (12, 0)',
    invalidate("keys => '{product:13,product:14,page:x}'"),
    'commit',
  ]
  expect(await ctx.outcome(...statements)).toEqual({ keys: ['page:x'], floors: ['products'] })
})

test('what names nothing invalidates nothing', async () => {
  expect(await ctx.outcome(invalidate("'{}'"), invalidate('null, null, null'))).toEqual(NOTHING)
})

describe('what is not understood may have meant anything: every keyspace becomes a floor', () => {
  test.each([
    ['no JSON', 'sale'],
    ['another kind of JSON', '[]'],
    ['a field that there is not', '{"key":["product:1"]}'],
    ['a key that is no text', '{"keys":[1]}'],
    ['a key without a keyspace', '{"keys":["prodcut:1"]}'],
    ['a key spelt otherwise than its template would', '{"keys":["page:a b"]}'],
    ['a keyspace that there is not', '{"keyspaces":["product"]}'],
    ['a tag that is longer than any key', `{"tags":["${'x'.repeat(1100)}"]}`],
    ['more than a mebibyte', `{"tags":["${'x'.repeat(1024 * 1024)}"]}`],
    ['nothing', ''],
  ])('%s', async (_, content) => {
    expect(await ctx.outcome(emit(content))).toEqual(EVERYTHING)
  })

  test('a null among the keys', async () => {
    expect(await ctx.outcome(invalidate("keys => array['product:' || null]"))).toEqual(EVERYTHING)
  })

  test('the log says why, as an error, and repeats nothing of it', async () => {
    const before = ctx.pub.logged.length
    await ctx.outcome(emit('{"keys":["secret:4711"]}'))
    const said = ctx.pub.logged.slice(before).filter((l) => l.level >= 50)
    expect(said).toMatchObject([{ reason: 'a key or a tag in it is of no keyspace' }])
    expect(JSON.stringify(ctx.pub.logged)).not.toContain('4711')
  })
})

test('a message outside of any transaction has no version: it is refused, and the log says so as an error', async () => {
  const before = ctx.pub.logged.length
  expect(await ctx.outcome(emit('{"keys":["product:1"]}', false), 'insert into product values (21, 0)')).toEqual({
    keys: ['product:21'],
    floors: [],
  })
  expect(ctx.pub.logged.slice(before).filter((l) => l.level >= 50)).toMatchObject([
    { reason: 'it is not transactional' },
  ])
})

test('the messages of others, and our own that only moves the WAL, are nobody’s invalidations', async () => {
  const others = ['tidemark', 'tidemark.other', 'app', `tidemark.${ctx.source.name}.more`]
  const emitted = others.map((prefix) => `select pg_logical_emit_message(true, '${prefix}', '{"keys":["product:1"]}')`)
  expect(await ctx.outcome(...emitted)).toEqual(NOTHING)
})

test('a source that nobody publishes here, or none, is refused in SQL: nobody would hear', async () => {
  for (const name of ["'shpo'", 'null', "''"]) {
    await expect(ctx.sql.query(`select tidemark.invalidate(${name}, '{product:1}')`)).rejects.toThrow(/no source/)
  }
})

test('an app’s role may call it, with nothing but the use of the schema', async () => {
  const role = `app_${ctx.pub.name}`
  await ctx.sql.query(`create role ${role}`)
  try {
    const called = ['begin', `set local role ${role}`, invalidate("keys => '{product:31}'"), 'commit']
    expect(await ctx.outcome(...called)).toEqual({ keys: ['product:31'], floors: [] })
  } finally {
    await ctx.sql.query(`drop role ${role}`)
  }
})

test('a source whose keyspaces have no tables at all lives by messages', async () => {
  await using bare = await RowsContext.open({
    tables: 'select 1',
    keyspaces: { pages: { key: 'page:{path}', tables: {} } },
  })
  const said = `select tidemark.invalidate('${bare.source.name}', '{page:home}')`
  expect(await bare.outcome(said)).toEqual({ keys: ['page:home'], floors: [] })
})
