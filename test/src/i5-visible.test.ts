import { expect, test } from '@jest/globals'
import { PostgresServer, waitUntil } from '@tidemark/local'
import { ORIGIN } from '@tidemark/protocol'
import { PipelineContext } from './pipeline/pipeline-context.ts'

const STANDBY_AWAY = { synchronous_standby_names: 'standby_that_is_away' }
const NO_STANDBY = { synchronous_standby_names: '' }

test('I5 a commit that waits for a synchronous standby is not published until it is visible', async () => {
  await using server = await PostgresServer.start({ durable: false })
  await using replica = await server.createReplica({ name: 'asynchronous' })
  await using context = await PipelineContext.open({ servers: { primaryUrl: server.url(), replicaUrl: replica.url() } })
  await context.start()
  await context.primary.query('insert into hot values (1, 1)')
  await context.caughtUp()
  const counters = await context.counters()
  expect(await counters.get({ id: 1 })).toBe(1)

  await using _standbyIsBack = {
    [Symbol.asyncDispose]: () => server.configure(NO_STANDBY), // or a failure would leave the commit waiting for ever
  }
  await server.configure(STANDBY_AWAY)
  const [before, newestBefore] = [await context.here(), await newest(context)]
  const commit = context.primary.query('update hot set n = 2 where id = 1')
  await waitUntil('the commit waits for its standby', () => waitsForStandby(server), { timeoutMs: 20_000 })
  await waitUntil('the walsender has sent it', () => sentBeyond(server, before), { timeoutMs: 20_000 })

  // Nobody can see it, so nobody is told; and the watermarks stop before it, though the log has gone on.
  expect((await context.primary.query('select n from hot where id = 1')).rows[0].n).toBe('1')
  expect(await newest(context)).toBe(newestBefore)
  expect((await context.views()).every((v) => v!.watermark <= before)).toBe(true)
  // The asynchronous replica shows it already, and its label says so; the cell was filled before and is still true.
  expect(await counters.read({ id: 1 })).toMatchObject({ value: 1, freshness: 'fresh', from: 'redis' })

  await server.configure(NO_STANDBY)
  await commit
  await context.caughtUp()
  expect(await newest(context)).not.toBe(newestBefore)
  expect(await counters.read({ id: 1 })).toMatchObject({ value: 2, freshness: 'fresh' })
}, 120_000)

async function newest(context: PipelineContext): Promise<string> {
  return (await context.views()).map((v) => v?.newest ?? ORIGIN).reduce((a, b) => (a > b ? a : b))
}

async function waitsForStandby(server: PostgresServer): Promise<boolean> {
  return (await server.query(`select 1 from pg_stat_activity where wait_event = 'SyncRep'`)).length > 0
}

/** The replication slot's walsender has decoded and sent past that position, and so delivered the commit. */
async function sentBeyond(server: PostgresServer, before: string): Promise<boolean> {
  const rows = await server.query<{ sent: boolean }>(
    `select sent_lsn > $1::pg_lsn and sent_lsn = pg_current_wal_flush_lsn() as sent from pg_stat_replication r
     join pg_replication_slots s on s.active_pid = r.pid where s.slot_type = 'logical'`,
    [`${Number.parseInt(before.slice(8, 16), 16).toString(16)}/${Number.parseInt(before.slice(16), 16).toString(16)}`],
  )
  return rows.length > 0 && rows.every((r) => r.sent)
}
