import { expect, test } from '@jest/globals'
import { readTopic, topicSettings } from '@tidemark/kafka'
import { newestEpoch } from '@tidemark/postgres'
import { Client } from 'pg'
import { withKafka } from './connections.ts'
import { SourceContext } from './testing/source-context.ts'

/** All that init could have made. */
async function made(ctx: SourceContext) {
  const { source, servers } = ctx
  const { topic } = await withKafka(servers.kafka, (kafka) => readTopic(kafka, source.topic))
  return {
    schema: await ctx.value<boolean>("select exists (select from pg_namespace where nspname = 'tidemark')"),
    publication: await ctx.value<number>('select count(*)::int from pg_publication'),
    slot: await ctx.value<number>('select count(*)::int from pg_replication_slots where slot_name = $1', [source.slot]),
    topic: topic !== undefined,
  }
}

const NOTHING = { schema: false, publication: 0, slot: 0, topic: false }
const ALL = { schema: true, publication: 1, slot: 1, topic: true }

test('without --yes it shows the exact SQL and settings, says that there is something to do, and changes nothing', async () => {
  await using ctx = await SourceContext.open()
  const { code, stdout } = await ctx.tidemark(['init'])
  expect(code).toBe(10)
  for (const text of ['create table if not exists tidemark.epoch', 'create publication', 'cleanup.policy=delete']) {
    expect(stdout).toContain(text)
  }
  expect(await made(ctx)).toEqual(NOTHING)
})

test('with --yes it makes all of it, and the second time nothing', async () => {
  await using ctx = await SourceContext.open()
  const first = await ctx.tidemark(['init', '--yes'])
  expect(first).toMatchObject({ code: 0, stderr: '' })
  expect(await made(ctx)).toEqual(ALL)
  const epoch = await newestEpoch(ctx.sql, ctx.source.name)
  const slot = await ctx.value('select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1', [
    ctx.source.slot,
  ])
  expect(epoch).toMatchObject({ number: 1, slot: ctx.source.slot })
  const { topic } = await withKafka(ctx.servers.kafka, (kafka) => readTopic(kafka, ctx.source.topic))
  expect(topic?.settings).toMatchObject(topicSettings(1))
  const second = await ctx.tidemark(['init', '--yes'])
  expect(second.code).toBe(0)
  expect(second.stdout).not.toMatch(/to do|done/)
  expect(await newestEpoch(ctx.sql, ctx.source.name)).toEqual(epoch)
  expect(
    await ctx.value('select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1', [
      ctx.source.slot,
    ]),
  ).toBe(slot)
})

test('one that was cut off is finished by the next; what only the publisher can decide is left to it', async () => {
  await using ctx = await SourceContext.open()
  await ctx.tidemark(['init', '--yes'])
  // As it is after the epoch's row, and before its slot.
  await ctx.sql.query('select pg_drop_replication_slot($1)', [ctx.source.slot])
  await ctx.sql.query('update tidemark.epoch set start_lsn = null')
  expect((await ctx.tidemark(['init', '--yes'])).code).toBe(0)
  expect(await made(ctx)).toEqual(ALL)
  expect((await newestEpoch(ctx.sql, ctx.source.name))?.start).not.toBeNull()
  // A slot that is gone, with what was not yet read from it.
  await ctx.sql.query('select pg_drop_replication_slot($1)', [ctx.source.slot])
  const { code, stdout } = await ctx.tidemark(['init', '--yes'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/publisher slot and first epoch/)
  expect(await made(ctx)).toEqual({ ...ALL, slot: 0 })
})

test('tables that cannot be keyed are in the way, with what mends them, and nothing is made', async () => {
  await using ctx = await SourceContext.open({
    keyspaces: { name: { key: 'name:{name}', tables: { 'public.product': { name: 'name' } } } },
  })
  const { code, stdout } = await ctx.tidemark(['init', '--yes'])
  expect(code).toBe(1)
  expect(stdout).toMatch(/blocked {3}publication[\s\S]*REPLICA IDENTITY FULL/)
  expect(await made(ctx)).toEqual(NOTHING)
})

test('more copies than there are brokers are in the way', async () => {
  await using ctx = await SourceContext.open()
  const { code, stdout } = await ctx.tidemark(['init', '--yes'], { TIDEMARK_KAFKA_REPLICATION_FACTOR: '3' })
  expect(code).toBe(1)
  expect(stdout).toContain('TIDEMARK_KAFKA_REPLICATION_FACTOR is 3, and there are 1 broker(s)')
  expect(await made(ctx)).toEqual(NOTHING)
})

test('two at once make one epoch and one slot', async () => {
  await using ctx = await SourceContext.open()
  await Promise.all([ctx.tidemark(['init', '--yes']), ctx.tidemark(['init', '--yes'])])
  expect((await ctx.tidemark(['init', '--yes'])).code).toBe(0)
  expect(await made(ctx)).toEqual(ALL)
  expect(await ctx.value('select count(*)::int from tidemark.epoch')).toBe(1)
})

test('what is printed for a DBA needs no server, can be run, and run again; no password is in it', async () => {
  await using ctx = await SourceContext.open()
  const roles = ['publisher', 'app'].map((role) => `${ctx.source.name}_${role}`)
  const flags = ['--publisher-role', roles[0]!, '--app-role', roles[1]!]
  const noServer = { TIDEMARK_PRIMARY_URL: '', TIDEMARK_KAFKA_BROKERS: '' }
  const { code, stdout } = await ctx.tidemark(['init', '--print-sql', ...flags], noServer)
  expect(code).toBe(0)
  expect(stdout).not.toMatch(/^(?!--).*password/im)
  try {
    await ctx.sql.query(stdout)
    await ctx.sql.query(stdout)
    expect(await ctx.value('select rolreplication and not rolsuper from pg_roles where rolname = $1', [roles[0]])).toBe(
      true,
    )
    expect(await ctx.value('select rolreplication from pg_roles where rolname = $1', [roles[1]])).toBe(false)
    // The app calls the function, and can neither write epochs nor read tables that nobody granted.
    const url = new URL(ctx.servers.primaryUrl)
    url.username = roles[1]!
    await using app = await opened(url.href)
    await expect(app.client.query("select tidemark.invalidate('nobody')")).rejects.toThrow(/has no source/)
    await expect(app.client.query('delete from tidemark.epoch')).rejects.toThrow(/permission denied/)
  } finally {
    for (const role of roles) await ctx.sql.query(`drop owned by ${role}; drop role ${role}`)
  }
})

async function opened(connectionString: string) {
  const client = new Client({ connectionString })
  await client.connect()
  return { client, [Symbol.asyncDispose]: () => client.end() }
}
