import { expect, test } from '@jest/globals'
import { localServers, PostgresServer, RedisServer } from '@tidemark/local'
import { redisAt } from '@tidemark/redis'
import type { Servers } from '../settings.ts'
import { SourceContext } from '../testing/source-context.ts'
import type { Finding } from './finding.ts'

/** What the shared servers and a source without a publisher have in any case. */
const DUE = ['not-durable', 'slot-inactive', 'topic-copies', 'wal-budget']

const SINCE_18 = "current_setting('server_version_num')::int >= 180000"

const checksOf = (findings: readonly Finding[]) =>
  [...new Set(findings.map(({ check }) => check))].filter((check) => !DUE.includes(check))

async function inTransaction<T>(ctx: SourceContext, sql: string, work: () => Promise<T>): Promise<T> {
  await ctx.sql.query(`begin; ${sql}`)
  try {
    return await work()
  } finally {
    await ctx.sql.query('rollback')
  }
}

test('each mistake in a database is found by its name, and what mends it mends it', async () => {
  await using ctx = await SourceContext.started()
  const { publication, slot } = ctx.source
  const database = new URL(ctx.servers.primaryUrl).pathname.slice(1)
  expect(checksOf(await ctx.findings())).toEqual([])
  const cases: readonly (readonly [string, string, string])[] = [
    [
      'publication',
      `alter publication ${publication} drop table product`,
      `alter publication ${publication} add table product`,
    ],
    [
      'publication',
      `alter publication ${publication} set (publish = 'insert')`,
      `alter publication ${publication} set (publish = 'insert, update, delete, truncate')`,
    ],
    [
      'publication',
      `alter publication ${publication} set table product where (id > 1)`,
      `alter publication ${publication} set table product`,
    ],
    [
      'publication',
      `alter publication ${publication} set table product (name)`,
      `alter publication ${publication} set table product`,
    ],
    ['publication-missing', `drop publication ${publication}`, `create publication ${publication} for table product`],
    [
      'replica-identity',
      'alter table product replica identity nothing',
      'alter table product replica identity default',
    ],
    ['inheritance', 'create table heir () inherits (product)', 'drop table heir'],
    ['tables', 'alter table product rename column id to number', 'alter table product rename column number to id'],
    [
      'session-replication-role',
      `alter database ${database} set session_replication_role = replica`,
      `alter database ${database} reset session_replication_role`,
    ],
    ['epoch-ends', 'update tidemark.epoch set timeline = 7', 'update tidemark.epoch set timeline = 1'],
    [
      'slot-unused',
      `select pg_create_logical_replication_slot('other_${slot}', 'pgoutput')`,
      `select pg_drop_replication_slot('other_${slot}')`,
    ],
    [
      'slot-missing',
      `select pg_drop_replication_slot('${slot}')`,
      `select pg_create_physical_replication_slot('${slot}')`,
    ],
    ['slot-foreign', 'select 1', `select pg_drop_replication_slot('${slot}')`],
    ['schema', 'drop function tidemark.invalidate', 'create function tidemark.invalidate() returns int return 1'],
  ]
  for (const [check, breaks, mends] of cases) {
    await ctx.sql.query(breaks)
    expect([breaks, checksOf(await ctx.findings({}, { unusedSlotMs: 0 }))]).toEqual([
      breaks,
      expect.arrayContaining([check]),
    ])
    await ctx.sql.query(mends)
    expect([mends, checksOf(await ctx.findings())]).toEqual([mends, expect.not.arrayContaining([check])])
  }
})

test('tables whose changes never reach the log, or reach it under another name, are found', async () => {
  await using ctx = await SourceContext.open({
    keyspaces: {
      part: { key: 'part:{id}', tables: { 'public.part': { id: 'id' } } },
      seen: { key: 'seen:{id}', tables: { 'public.seen': { id: 'id' } } },
      quick: { key: 'quick:{id}', tables: { 'public.quick': { id: 'id' } } },
    },
  })
  await ctx.sql.query(`
    create table part (id int primary key) partition by range (id);
    create table part_1 partition of part for values from (0) to (10);
    create unlogged table part_2 partition of part for values from (10) to (20);
    create view seen as select * from product;
    create unlogged table quick (id int primary key);
    create publication ${ctx.source.publication} for table part_1`)
  const findings = await ctx.findings()
  const found = findings.map(({ check, what }) => `${check}: ${what}`).join('\n')
  expect(found).toMatch(/not-logged: partition part_2 of public\.part is unlogged/)
  expect(found).toMatch(/not-logged: public\.quick is unlogged/)
  expect(found).toMatch(/not-a-table: public\.seen is a view/)
  expect(found).toMatch(/publication: .*knows public\.part by its partitions/)
})

test('a publication that lacks tables, or knows a table by its partitions, is mended by what is said', async () => {
  await using ctx = await SourceContext.open({
    keyspaces: {
      product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } },
      part: { key: 'part:{id}', tables: { 'public.part': { id: 'id' } } },
    },
  })
  await ctx.sql.query(`
    create table part (id int primary key) partition by range (id);
    create table part_1 partition of part for values from (0) to (10);
    create publication ${ctx.source.publication} for table part with (publish = 'insert')`)
  const mistakes = async () => (await ctx.findings()).filter(({ check }) => check === 'publication')
  const found = await mistakes()
  expect(found).toHaveLength(3)
  for (const { mend } of found) await ctx.sql.query(mend.replace('Run: ', ''))
  expect(await mistakes()).toEqual([])
})

test('a generated column, which is not published, is found when a key is made of it', async () => {
  await using ctx = await SourceContext.open({
    keyspaces: { made: { key: 'made:{n}', tables: { 'public.made': { n: 'n' } } } },
  })
  await ctx.sql.query(`
    create table made (id int primary key, n int generated always as (id * 2) stored);
    alter table made replica identity full;
    create publication ${ctx.source.publication} for table made`)
  // Before 18 no publication can publish it.
  expect(checksOf(await ctx.findings())).toContain(
    (await ctx.value<boolean>(`select ${SINCE_18}`)) ? 'publication' : 'tables',
  )
})

test('a projection that no change can be projected with is found, be a column hidden, gone or generated', async () => {
  await using ctx = await SourceContext.open({
    keyspaces: {
      made: {
        key: 'made:{id}',
        tables: { 'public.made': { id: 'id' } },
        contract: { reaction: 'update' },
        projection: { id: { column: 'id' }, name: { column: 'name' }, twice: { column: 'twice' } },
      },
    },
  })
  const { publication } = ctx.source
  await ctx.sql.query(`
    create table made (id int primary key, name text, twice int generated always as (id * 2) stored);
    create publication ${publication} for table made`)
  const projections = async () => (await ctx.findings()).filter(({ check }) => check === 'projection')
  expect((await projections())[0]!.what).toMatch(/public\.made: twice$/)
  await ctx.sql.query('alter table made drop column twice; alter table made add column twice int')
  expect(await projections()).toEqual([])
  await ctx.sql.query(`alter publication ${publication} set table made (id, twice)`)
  expect((await projections())[0]!.what).toMatch(/public\.made: name$/)
})

test('session_replication_role: what is written is decoded, and foreign keys do not cascade', async () => {
  await using ctx = await SourceContext.open()
  await ctx.sql.query(`
    create table review (id int primary key, product int references product on delete cascade);
    insert into product values (1); insert into review values (1, 1);
    create publication every for all tables`)
  const slot = `${ctx.source.slot}_seen`
  await ctx.sql.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot])
  await ctx.sql.query('set session_replication_role = replica; delete from product; reset session_replication_role')
  const deletes = `select count(*)::int from pg_logical_slot_peek_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', 'every')
                    where get_byte(data, 0) = ascii('D')`
  expect(await ctx.value<number>(deletes, [slot])).toBe(1)
  expect(await ctx.value<number>('select count(*)::int from review')).toBe(1)
  await ctx.sql.query('insert into product values (1); delete from product')
  expect(await ctx.value<number>(deletes, [slot])).toBe(3)
})

test('open transactions that write are found, and those that only read are not', async () => {
  await using ctx = await SourceContext.open()
  const pid = await ctx.value<number>('select pg_backend_pid()')
  const named = await inTransaction(ctx, 'insert into product values (1)', () => ctx.findings({}, { transactionMs: 0 }))
  expect(named.find(({ what }) => what.includes(`process ${pid} `))?.mend).toContain(`pg_terminate_backend(${pid})`)
  const reading = await inTransaction(ctx, 'select 1', () => ctx.findings({}, { transactionMs: 0 }))
  expect(reading.filter(({ what }) => what.includes(`process ${pid} `))).toEqual([])
})

test('a role is told each grant that it lacks', async () => {
  await using ctx = await SourceContext.started()
  const role = `${ctx.source.name}_weak`
  await ctx.sql.query(
    `create role ${role} login; revoke usage on schema public from public; revoke usage on schema tidemark from public`,
  )
  const url = new URL(ctx.servers.primaryUrl)
  url.username = role
  const roleFindings = async () =>
    (await ctx.findings({ primaryUrl: url.href })).filter(({ check }) => check === 'role')
  try {
    const findings = await roleFindings()
    expect(findings.map(({ what }) => what)).toEqual([
      `role ${role} may not replicate`,
      `role ${role} may not use "public"`,
      `role ${role} lacks on tidemark.epoch: usage of the schema, insert, delete, update`,
    ])
    for (const { mend } of findings) await ctx.sql.query(mend)
    expect(await roleFindings()).toEqual([])
  } finally {
    await ctx.sql.query(`drop owned by ${role}; drop role ${role}`)
  }
})

test('Redis and replicas: what is away, misplaced or set otherwise is found', async () => {
  await using ctx = await SourceContext.started()
  await using redis = await RedisServer.start({ settings: { maxmemory: '8mb', 'maxmemory-policy': 'noeviction' } })
  await using frozen = await RedisServer.start()
  frozen.pause()
  const [replica] = Object.values(localServers().replicaUrls)
  const url = new URL(replica!)
  url.pathname = new URL(ctx.servers.primaryUrl).pathname
  const servers: Partial<Servers> = {
    regions: [
      { name: 'full', redis: redisAt(redis.url) },
      { name: 'frozen', redis: redisAt(frozen.url) },
      { name: 'gone', redis: redisAt('redis://:hidden@127.0.0.1:1') },
    ],
    replicas: [
      { name: 'own', url: url.href },
      { name: 'itself', url: ctx.servers.primaryUrl },
      { name: 'gone', url: 'postgres://u:hidden@127.0.0.1:1/x' },
    ],
  }
  const found = await ctx.findings(servers)
  const at = (where: string) => found.filter((f) => f.where === where).map(({ check }) => check)
  expect(at('redis full')).toEqual(['redis-eviction', 'view-missing'])
  expect(at('redis gone')).toEqual(['unreachable'])
  expect(at('redis frozen')).toEqual(['unreachable'])
  expect(at('replica own').filter((check) => check !== 'failover-slot')).toEqual([])
  expect(at('replica itself')).toEqual(['replica-promoted'])
  expect(at('replica gone')).toEqual(['unreachable'])
  expect(JSON.stringify(found)).not.toContain('hidden')
  frozen.resume()
})

test('what a server’s settings make dangerous is found, and a slot that it has given up', async () => {
  await using server = await PostgresServer.start({
    settings: {
      max_replication_slots: 1,
      max_prepared_transactions: 5,
      wal_sender_timeout: 0,
      max_slot_wal_keep_size: '16MB',
    },
  })
  await using ctx = await SourceContext.started({ primaryUrl: server.url() })
  await ctx.sql.query("begin; insert into product values (1); prepare transaction 'it''s'")
  const before = await ctx.findings({}, { transactionMs: 0 })
  expect(before.filter(({ where }) => where === 'source').map(({ check }) => check)).toEqual([
    'wal-sender-timeout',
    'slots-exhausted',
    'slot-inactive',
    'prepared-transaction',
  ])
  await ctx.sql.query(before.find(({ check }) => check === 'prepared-transaction')!.mend.split(',')[0]!)
  for (let segment = 0; segment < 4; segment++)
    await ctx.sql.query('create table grows (); drop table grows; select pg_switch_wal()')
  await ctx.sql.query('checkpoint')
  expect(checksOf(await ctx.findings())).toContain('slot-lost')
})

test('the process: errors fail, warnings only with --strict, and nobody waits for what is away', async () => {
  await using ctx = await SourceContext.started()
  const away = { TIDEMARK_REDIS_GONE_URL: 'redis://:hidden@127.0.0.1:1' }
  const [fine, strict, error, status] = await Promise.all([
    ctx.tidemark(['doctor']),
    ctx.tidemark(['doctor', '--strict']),
    ctx.tidemark(['doctor', '--json'], away),
    ctx.tidemark(['status'], away),
  ])
  expect(fine.code).toBe(0)
  expect(fine.stdout).toContain('slot-inactive')
  expect(strict.code).toBe(1)
  expect(error.code).toBe(1)
  expect(JSON.parse(error.stdout)[0]).toMatchObject({ severity: 'error', check: 'unreachable', where: 'redis gone' })
  expect(status.code).toBe(1)
  expect(status.stdout).toMatch(/^epoch +1, from/m)
  expect(status.stdout).toMatch(/^redis gone +does not answer/m)
  expect(error.stdout + status.stdout).not.toContain('hidden')
})

test('a primary that is away is one finding, and everything else is told all the same', async () => {
  await using ctx = await SourceContext.started()
  const found = await ctx.findings({ primaryUrl: 'postgres://u:hidden@127.0.0.1:1/x' })
  expect(found.map(({ where, check }) => `${where} ${check}`)).toEqual(['source unreachable', 'topic topic-copies'])
})
