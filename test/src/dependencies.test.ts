import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { PostgresServer, waitUntil } from '@tidemark/local'
import { defineSource } from '@tidemark/protocol'
import { openTidemark, tag } from '@tidemark/refill'
import { PipelineContext } from './pipeline/pipeline-context.ts'

const BESIDE = {
  report: { key: 'report:{id}', tables: {} },
  everything: { key: 'everything', tables: { 'public.hot': {} } },
} as const
const PARTITIONS = 8
const IDS = [1, 2, 3, 4]

let primary: PostgresServer
let replica: PostgresServer
let context: PipelineContext

beforeAll(async () => {
  primary = await PostgresServer.start({ durable: false })
  replica = await primary.createReplica({ name: 'laggard' })
  const servers = { primaryUrl: primary.url(), replicaUrl: replica.url() }
  context = await PipelineContext.open({ servers, partitions: PARTITIONS, beside: BESIDE })
  await context.primary.query('create table price (cents integer not null); insert into price values (100)')
  await context.primary.query('insert into hot select unnest($1::int[]), 0', [IDS])
  await context.start()
})

afterAll(async () => {
  await context?.[Symbol.asyncDispose]()
  await replica?.[Symbol.asyncDispose]()
  await primary?.[Symbol.asyncDispose]()
})

/** Reports over rows of `hot`, and over a table that is not published. */
async function reports({ replicas = [] as { name: string; pool: typeof context.replica }[] } = {}) {
  const keyspaces = { hot: { key: 'hot:{id}', tables: { 'public.hot': { id: 'id' } } }, ...BESIDE } as const
  const source = defineSource({ name: context.name, partitions: PARTITIONS, keyPrefix: context.name, keyspaces })
  return openTidemark({ source, redis: context.redis, primary: context.primary, replicas })
}

const SUM = 'select sum(n)::int as n from hot where id = any($1)'

test('a value of several rows is a hit until one of them changes, in whichever partition', async () => {
  const report = (await reports()).cache('report', {
    load: async (db) => (await db.query<{ n: number }>(SUM, [IDS])).rows[0]!.n,
    dependsOn: () => IDS.map((id) => ({ keyspace: 'hot', params: { id } })),
  })
  await context.caughtUp()
  const before = await report.get({ id: 'sum' })
  for (const [changes, id] of IDS.entries()) {
    expect(await report.read({ id: 'sum' })).toMatchObject({ value: before + changes, from: 'redis' })
    await context.primary.query('update hot set n = n + 1 where id = $1', [id])
    await context.caughtUp()
    expect(await report.read({ id: 'sum' })).toMatchObject({ value: before + changes + 1, from: 'primary' })
  }
})

test('a keyspace whose key has no params stands for its whole table, rows to come included', async () => {
  const report = (await reports()).cache('report', {
    load: async (db) => (await db.query<{ n: number }>('select count(*)::int as n from hot')).rows[0]!.n,
    dependsOn: () => [{ keyspace: 'everything', params: {} }],
  })
  await context.caughtUp()
  const before = await report.get({ id: 'count' })
  expect(await report.read({ id: 'count' })).toMatchObject({ value: before, from: 'redis' })
  await context.primary.query('insert into hot values (100, 0)')
  await context.caughtUp()
  expect(await report.read({ id: 'count' })).toMatchObject({ value: before + 1, from: 'primary' })
})

test('I7 what a lagging replica shows after a tag’s invalidation is not served as fresh', async () => {
  const load = async (db: { query<R>(text: string): Promise<{ rows: R[] }> }) =>
    (await db.query<{ cents: number }>('select cents from price')).rows[0]!.cents
  const replicas = [{ name: 'laggard', pool: context.replica }]
  const tagged = (await reports({ replicas })).cache('report', { load, dependsOn: () => [tag('sale')] })
  const untagged = (await reports({ replicas })).cache('report', { load })
  await context.caughtUp()
  expect(await tagged.get({ id: 'tagged' })).toBe(100)
  await context.replica.query('select pg_wal_replay_pause()')
  try {
    await context.primary.query(
      `begin; update price set cents = 50; select tidemark.invalidate('${context.name}', tags => '{sale}'); commit`,
    )
    await context.caughtUp()
    expect(await tagged.read({ id: 'tagged' })).toMatchObject({ value: 50, freshness: 'fresh', from: 'primary' })
    expect(await tagged.read({ id: 'tagged' })).toMatchObject({ value: 50, from: 'redis' })
    // The test of the test: nothing but the tag told of it. And what is first loaded now, and names it only then, too.
    expect(await untagged.read({ id: 'untagged' })).toMatchObject({ value: 100, from: 'laggard' })
    expect(await tagged.read({ id: 'new' })).toMatchObject({ value: 50, freshness: 'fresh', from: 'primary' })
  } finally {
    await context.replica.query('select pg_wal_replay_resume()')
  }
  await waitUntil('the replica has replayed it', async () => (await load(context.replica)) === 50, {
    timeoutMs: 20_000,
  })
})
