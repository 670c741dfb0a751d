import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { runPublisher } from '@tidemark/publisher'
import { pino } from 'pino'
import { PipelineContext } from '../pipeline/pipeline-context.ts'
import { RunningService } from '../pipeline/running-service.ts'
import { tidemark } from '../pipeline/tidemark-command.ts'
import { LeastPrivilegeRoles } from './least-privilege-roles.ts'

function publish(ctx: PipelineContext, postgresUrl: string, signal: AbortSignal, log = pino({ level: 'silent' })) {
  return runPublisher({ source: ctx.source, postgresUrl, brokers: ctx.servers.brokers, beatMs: 50, log, signal })
}

const epochs = async (ctx: PipelineContext) =>
  (await ctx.primary.query<{ epoch: number }>('select epoch from tidemark.epoch order by epoch')).rows.map(
    (r) => r.epoch,
  )

test('what init prints is all that publisher and app need, from the first start through events to a new epoch', async () => {
  await using ctx = await PipelineContext.open()
  await using roles = await LeastPrivilegeRoles.grant(ctx)
  const run = () => new RunningService((signal, log) => publish(ctx, roles.urlOf(roles.publisher), signal, log))
  await ctx.primary.query(
    `insert into hot values (1, 1); grant usage on schema public to ${roles.app}; grant select on hot to ${roles.app}`,
  )
  ctx.startWorker()
  {
    await using _ = run()
    await ctx.caughtUp()
    const pool = roles.poolOf(roles.app)
    try {
      const counters = await ctx.counters({ primary: pool, replicas: [] })
      expect(await counters.get({ id: 1 })).toBe(1)
      await ctx.primary.query('update hot set n = 2 where id = 1')
      await ctx.caughtUp()
      expect(await counters.get({ id: 1 })).toBe(2)
      await pool.query('select tidemark.invalidate($1, keyspaces => $2)', [ctx.name, ['hot']])
      await expect(pool.query('delete from tidemark.epoch')).rejects.toThrow(/permission denied/)
    } finally {
      await pool.end()
    }
  }
  await mayNot(roles, [
    'select * from hot',
    'create table more ()',
    'create table tidemark.more ()',
    'truncate tidemark.epoch',
  ])
  const before = await epochs(ctx)
  await ctx.primary.query('select pg_drop_replication_slot($1)', [ctx.source.slot])
  await using _ = run()
  await waitUntil('a new epoch is open', async () => (await epochs(ctx)).length > before.length, { timeoutMs: 30_000 })
  await ctx.caughtUp()
}, 120_000)

/** What is not the publisher's business. */
async function mayNot(roles: LeastPrivilegeRoles, statements: readonly string[]): Promise<void> {
  const pool = roles.poolOf(roles.publisher)
  try {
    for (const sql of statements) await expect(pool.query(sql)).rejects.toThrow(/permission denied/)
  } finally {
    await pool.end()
  }
}

// A start of the publisher for each grant, on whatever machine.
test('no grant is too many: without any one of them the publisher is refused, or doctor tells', async () => {
  await using ctx = await PipelineContext.open()
  await using roles = await LeastPrivilegeRoles.grant(ctx)
  const url = roles.urlOf(roles.publisher)
  const told: string[] = []
  for (const revoke of roles.revocations) {
    await ctx.primary.query(revoke)
    // The shape is written when the publication is found to be broken.
    if (revoke.includes('(shape)'))
      await ctx.primary.query(`alter publication ${ctx.source.publication} set (publish = 'insert')`)
    // A row is deleted where two servers open an epoch of one number, which takes a failover.
    if (revoke.includes('delete')) told.push(...(await roleFindings(ctx, url)))
    else {
      const ended = publish(ctx, url, AbortSignal.timeout(20_000)).catch((error: { code?: string }) => error.code)
      expect([revoke, await ended]).toEqual([revoke, 'SERVER_REFUSED'])
    }
    await roles.grant()
  }
  expect(roles.revocations.length).toBeGreaterThanOrEqual(9)
  expect(told).toEqual([`role ${roles.publisher} lacks on tidemark.epoch: delete`])
}, 180_000)

async function roleFindings(ctx: PipelineContext, primaryUrl: string): Promise<string[]> {
  const { stdout } = await tidemark(ctx, ['doctor', '--json'], { TIDEMARK_PRIMARY_URL: primaryUrl })
  const findings = JSON.parse(stdout) as { readonly check: string; readonly what: string }[]
  return findings.filter(({ check }) => check === 'role').map(({ what }) => what)
}
