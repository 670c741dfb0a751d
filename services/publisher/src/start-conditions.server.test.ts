import { expect, test } from '@jest/globals'
import { localServers, PostgresServer } from '@tidemark/local'
import { inspectTables } from '@tidemark/postgres'
import { isTidemarkError, type SourceConfig } from '@tidemark/protocol'
import { Kafka, logLevel } from 'kafkajs'
import { Client } from 'pg'
import { PublisherContext } from './testing/publisher-context.ts'

const BY_PRODUCT: SourceConfig['keyspaces'] = {
  reviews: { key: 'reviews:{product}', tables: { 'public.review': { product: 'product_id' } } },
}

const UPDATED: SourceConfig['keyspaces'] = {
  reviews: {
    key: 'reviews:{product}:{lang}',
    tables: { 'public.review': { product: 'product_id', lang: 'lang' } },
    contract: { reaction: 'update' },
    projection: { text: { column: 'text' } },
  },
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url })
  try {
    await client.connect()
    return true
  } finally {
    await client.end()
  }
}

async function openReviews(serverUrl?: string) {
  const ctx = await PublisherContext.open(serverUrl === undefined ? {} : { serverUrl })
  await ctx.sql.query('create table review (id int primary key, product_id int not null)')
  return ctx
}

/** What the publisher of a context refuses to start with. */
async function refusal(ctx: PublisherContext, keyspaces = BY_PRODUCT, more: Partial<SourceConfig> = {}) {
  const error = await ctx.start(ctx.source(keyspaces, more)).done
  if (isTidemarkError(error)) return error
  throw error
}

test('a replica identity that lacks a template column is refused, with the ALTER TABLE that mends it', async () => {
  await using ctx = await openReviews()
  const error = await refusal(ctx)
  expect(error.code).toBe('REPLICA_IDENTITY_INSUFFICIENT')
  const remedy = /ALTER TABLE .* REPLICA IDENTITY FULL/.exec(error.message)?.[0]
  await ctx.sql.query(remedy!)
  const source = ctx.source(BY_PRODUCT)
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
})

test.each([
  ['full', 'alter table review replica identity full', true],
  [
    'an index that has the column',
    'create unique index r on review (product_id); alter table review replica identity using index r',
    true,
  ],
  [
    'an index that lacks it',
    'create unique index r on review (id); alter table review replica identity using index r',
    false,
  ],
  ['nothing', 'alter table review replica identity nothing', false],
])('replica identity %s', async (_, sql, accepted) => {
  await using ctx = await openReviews()
  await ctx.sql.query(sql)
  if (!accepted) {
    expect((await refusal(ctx)).code).toBe('REPLICA_IDENTITY_INSUFFICIENT')
    return
  }
  const source = ctx.source(BY_PRODUCT)
  ctx.start(source)
  await ctx.untilTrue('the epoch is open', () => ctx.logged.some((l) => l.msg === 'a new epoch is open'))
})

test('updates in place need keys of one row each: a unique index within the columns of the key', async () => {
  await using ctx = await PublisherContext.open()
  const cases: readonly (readonly [boolean, string])[] = [
    [true, 'alter table review add primary key (product_id)'],
    [true, 'create unique index on review (lang)'],
    [true, 'create unique index on review (product_id, lang) include (id)'],
    [true, 'alter table review add unique (product_id, lang) deferrable initially deferred'],
    [false, 'create index on review (product_id, lang)'],
    [false, 'create unique index on review (product_id, lang, id)'],
    [false, 'create unique index on review (product_id) where id > 0'],
    [false, 'create unique index on review (product_id, (lang || id))'],
    [
      false,
      "create unique index i on review (lang); update pg_index set indisvalid = false where indexrelid = 'i'::regclass",
    ],
  ]
  for (const [accepted, sql] of cases) {
    await ctx.sql.query(`begin; create table review (id int, product_id int, lang text, text text);
      alter table review replica identity full; ${sql}`)
    const mistakes = await inspectTables(ctx.sql, ctx.source(UPDATED))
    expect([sql, mistakes.map(({ code }) => code)]).toEqual([sql, accepted ? [] : ['KEY_OF_SEVERAL_ROWS']])
    await ctx.sql.query('rollback')
  }
})

test('keys of several rows are refused where they would be updated in place, with the index that mends it', async () => {
  await using ctx = await openReviews()
  await ctx.sql.query(`alter table review replica identity full; alter table review add lang text`)
  const error = await refusal(ctx, UPDATED)
  expect(error.code).toBe('KEY_OF_SEVERAL_ROWS')
  expect(error.message).toContain('no unique index lies within (product_id, lang)')
  await ctx.sql.query(/CREATE UNIQUE INDEX .*\)/.exec(error.message)![0])
  const source = ctx.source(UPDATED)
  ctx.start(source)
  await ctx.untilTrue('the epoch is open', () => ctx.logged.some((l) => l.msg === 'a new epoch is open'))
})

test('a partitioned table is mended by an index of its root', async () => {
  await using ctx = await PublisherContext.open()
  await ctx.sql.query(`create table review (product_id int, lang text, text text) partition by list (lang);
    create table review_en partition of review for values in ('en');
    create unique index on review_en (product_id, lang);
    alter table review replica identity full; alter table review_en replica identity full`)
  const error = await refusal(ctx, UPDATED)
  expect(error.code).toBe('KEY_OF_SEVERAL_ROWS')
  await ctx.sql.query(/CREATE UNIQUE INDEX .*\)/.exec(error.message)![0])
  expect(await inspectTables(ctx.sql, ctx.source(UPDATED))).toEqual([])
})

test('a partition whose own replica identity is weaker than its table’s is refused by its name', async () => {
  await using ctx = await PublisherContext.open()
  await ctx.sql.query(
    'create table review (id int, product_id int, primary key (id, product_id)) partition by range (id)',
  )
  await ctx.sql.query('create table review_1 partition of review for values from (0) to (10)')
  await ctx.sql.query('alter table review_1 replica identity nothing')
  const error = await refusal(ctx)
  expect(error.code).toBe('REPLICA_IDENTITY_INSUFFICIENT')
  expect(error.message).toContain('public.review_1')
})

test('tables and columns that do not exist are all named at once', async () => {
  await using ctx = await openReviews()
  await ctx.sql.query('create view seen as select * from review')
  const error = await refusal(ctx, {
    ...BY_PRODUCT,
    texts: { key: 'text:{lang}', tables: { 'public.review': { lang: 'lang' } } },
    gone: { key: 'gone:{id}', tables: { 'public.gone': { id: 'id' }, 'public.seen': { id: 'id' } } },
  })
  expect(error.code).toBe('TABLE_MISMATCH')
  for (const mistake of [
    'no table public.gone',
    'no table public.seen',
    'no column lang',
    'does not carry product_id',
  ]) {
    expect(error.message).toContain(mistake)
  }
})

test('a publication that lacks a table is refused, with the ALTER PUBLICATION that mends it', async () => {
  await using ctx = await openReviews()
  await ctx.sql.query('alter table review replica identity full; create table other (id int primary key)')
  const { publication } = ctx.source(BY_PRODUCT)
  await ctx.sql.query(`create publication ${publication} for table other`)
  const error = await refusal(ctx)
  expect(error.code).toBe('PUBLICATION_INCOMPLETE')
  await ctx.sql.query(/ALTER PUBLICATION \S+ ADD TABLE \S+/.exec(error.message)![0])
  const source = ctx.source(BY_PRODUCT)
  ctx.start(source)
  await ctx.untilTrue('the epoch is open', () => ctx.logged.some((l) => l.msg === 'a new epoch is open'))
})

test.each([
  ['without deletes', "for table review with (publish = 'insert, update, truncate')"],
  ['with a row filter', 'for table review where (id > 10)'],
  ['with a column list that hides a template column', 'for table review (id)'],
])('a publication %s is refused', async (_, what) => {
  await using ctx = await openReviews()
  await ctx.sql.query('alter table review replica identity full')
  await ctx.sql.query(`create publication ${ctx.source(BY_PRODUCT).publication} ${what}`)
  expect((await refusal(ctx)).code).toBe('PUBLICATION_INCOMPLETE')
})

test('a topic of another number of partitions is refused: keys would land in the wrong one', async () => {
  await using ctx = await openReviews()
  await ctx.sql.query('alter table review replica identity full')
  const kafka = new Kafka({ brokers: [...ctx.brokers], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: [{ topic: ctx.source(BY_PRODUCT).topic, numPartitions: 3 }],
    waitForLeaders: true,
  })
  await admin.disconnect()
  const error = await refusal(ctx)
  expect(error.code).toBe('TOPIC_MISMATCH')
  expect(error.message).toMatch(/has 3 partitions, the source says 2/)
})

test('a slot of that name with another plugin is nobody’s to drop', async () => {
  await using ctx = await openReviews()
  await ctx.sql.query('alter table review replica identity full')
  const { slot } = ctx.source(BY_PRODUCT)
  await ctx.sql.query('select pg_create_physical_replication_slot($1)', [slot])
  expect((await refusal(ctx)).code).toBe('SLOT_MISMATCH')
  expect(await ctx.value('select count(*)::int from pg_replication_slots where slot_name = $1', [slot])).toBe(1)
  await ctx.sql.query('select pg_drop_replication_slot($1)', [slot])
})

test('a standby is no source: the publisher says so and tries again, it may be promoted', async () => {
  await using ctx = await openReviews()
  const replica = new URL(Object.values(localServers().replicaUrls)[0]!)
  replica.pathname = new URL(ctx.url).pathname
  await ctx.untilTrue('the database is replicated', () => answers(replica.href))
  const publisher = ctx.start(ctx.source(BY_PRODUCT), { postgresUrl: replica.href })
  await ctx.untilTrue('it says so', () => JSON.stringify(ctx.logged).includes('SOURCE_IN_RECOVERY'))
  await publisher.stop()
})

test('servers that are not there are tried again, and the log says which', async () => {
  await using ctx = await openReviews()
  const source = ctx.source(BY_PRODUCT)
  for (const away of [{ postgresUrl: 'postgres://tidemark@127.0.0.1:1/x' }, { brokers: ['127.0.0.1:1'] }]) {
    const publisher = ctx.start(source, { ...away, maxRetryMs: 100 })
    ctx.logged.length = 0
    await ctx.untilTrue(
      'it tries again',
      () => ctx.logged.filter((l) => JSON.stringify(l).includes('SERVER_UNREACHABLE')).length >= 2,
    )
    expect(JSON.stringify(ctx.logged)).toContain('127.0.0.1:1')
    await publisher.stop()
  }
})

test('two publishers of one source: one streams, the other waits for its turn and then continues the epoch', async () => {
  await using ctx = await openReviews()
  await ctx.sql.query('alter table review replica identity full')
  const source = ctx.source(BY_PRODUCT)
  const first = ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  ctx.start(source)
  const standsBy = (l: { msg: string }) => l.msg.startsWith('standing by')
  await ctx.untilTrue('the second stands by', () => ctx.logged.some(standsBy))
  await first.stop()
  await ctx.untilTrue('the second continues', () => ctx.logged.some((l) => l.msg === 'the epoch continues'))
})

test('a server whose wal_level is not logical is refused with what mends it', async () => {
  await using server = await PostgresServer.start({ durable: false, settings: { wal_level: 'replica' } })
  await using ctx = await openReviews(server.url())
  const error = await refusal(ctx)
  expect(error.code).toBe('WAL_LEVEL_NOT_LOGICAL')
  expect(error.message).toContain('wal_level = logical')
})
