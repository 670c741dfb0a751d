import { expect, test } from '@jest/globals'
import { readTopic, topicSettings } from '@tidemark/kafka'
import { Client } from 'pg'
import { withKafka } from '../connections.ts'
import { SourceContext } from '../testing/source-context.ts'

/** All that init could have made. */
async function made(ctx: SourceContext) {
  const { source, servers } = ctx
  const { topic } = await withKafka(servers.kafka, (kafka) => readTopic(kafka, source.topic))
  return {
    schema: await ctx.value<boolean>("select exists (select from pg_namespace where nspname = 'tidemark')"),
    publication: await ctx.value<number>('select count(*)::int from pg_publication'),
    topic: topic !== undefined,
  }
}

const NOTHING = { schema: false, publication: 0, topic: false }
const ALL = { schema: true, publication: 1, topic: true }

test('without --yes it shows the exact SQL and settings, says that there is something to do, and changes nothing', async () => {
  await using ctx = await SourceContext.open()
  const { code, stdout } = await ctx.tidemark(['init'])
  expect(code).toBe(10)
  for (const text of ['create table if not exists tidemark.epoch', 'create publication', 'cleanup.policy=delete']) {
    expect(stdout).toContain(text)
  }
  expect(await made(ctx)).toEqual(NOTHING)
})

test('with --yes it makes all of it, the second time nothing, and one that was cut off is finished by the next', async () => {
  await using ctx = await SourceContext.open()
  expect(await ctx.tidemark(['init', '--yes'])).toMatchObject({ code: 0, stderr: '' })
  expect(await made(ctx)).toEqual(ALL)
  const { topic } = await withKafka(ctx.servers.kafka, (kafka) => readTopic(kafka, ctx.source.topic))
  expect(topic?.settings).toMatchObject(topicSettings(1))
  const oids = 'select array[(select oid from pg_publication), to_regclass($1)::oid]'
  const before = await ctx.value(oids, ['tidemark.epoch'])
  const second = await ctx.tidemark(['init', '--yes'])
  expect(second.code).toBe(0)
  expect(second.stdout).not.toMatch(/to do|done/)
  expect(await ctx.value(oids, ['tidemark.epoch'])).toEqual(before)
  await ctx.sql.query(`drop publication ${ctx.source.publication}; drop function tidemark.invalidate`)
  expect((await ctx.tidemark(['init', '--yes'])).stdout.match(/^done.*$/gm)).toEqual([
    'done      schema',
    'done      publication',
  ])
  expect(await made(ctx)).toEqual(ALL)
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
