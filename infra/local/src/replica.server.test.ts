import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { PostgresServer } from './postgres.ts'
import { waitUntil } from './wait.ts'

const IN_TIME = { timeoutMs: 20_000 }

interface Pair extends AsyncDisposable {
  readonly primary: PostgresServer
  readonly replica: PostgresServer
}

async function openPair(): Promise<Pair> {
  await using undo = new AsyncDisposableStack()
  const primary = undo.use(await PostgresServer.start({ durable: false }))
  await primary.query('create table item (id int)')
  const replica = undo.use(await primary.createReplica({ name: 'eu-west' }))
  const servers = undo.move()
  return { primary, replica, [Symbol.asyncDispose]: () => servers.disposeAsync() }
}

async function idsIn(server: PostgresServer): Promise<number[]> {
  return (await server.query<{ id: number }>('select id from item order by id')).map(({ id }) => id)
}

async function arrives(server: PostgresServer, id: number): Promise<void> {
  await waitUntil(`row ${id} is on the replica`, async () => (await idsIn(server)).includes(id), IN_TIME)
}

async function emptied(pair: Pair): Promise<Pair> {
  await pair.primary.query('truncate item')
  await waitUntil('the replica is empty', async () => (await idsIn(pair.replica)).length === 0, IN_TIME)
  return pair
}

/** Everything that the primary has written by now is on the replica's disk, replayed or not. */
async function received({ primary, replica }: Pair): Promise<void> {
  const [now] = await primary.query<{ lsn: string }>('select pg_current_wal_flush_lsn() as lsn')
  const isThere = async () => {
    const [row] = await replica.query<{ ok: boolean }>('select pg_last_wal_receive_lsn() >= $1 as ok', [now?.lsn])
    return row?.ok ?? false
  }
  await waitUntil('the replica has received all', isThere, IN_TIME)
}

test('a replica is made while the primary is written to, and streams under its name', async () => {
  await using primary = await PostgresServer.start({ durable: false })
  await primary.query('create table item (id int)')
  let written = 0
  let copying = true
  const writing = (async () => {
    while (copying) await primary.query('insert into item values ($1)', [++written])
  })()
  await using replica = await primary.createReplica({ name: 'eu-west' })
  copying = false
  await writing
  expect(written).toBeGreaterThan(1)
  await arrives(replica, written)
  expect(await idsIn(replica)).toEqual(await idsIn(primary))
  expect(await primary.query('select application_name, state from pg_stat_replication')).toEqual([
    { application_name: 'eu-west', state: 'streaming' },
  ])
  expect(await primary.query('select slot_name, active from pg_replication_slots')).toEqual([
    { slot_name: 'eu_west', active: true },
  ])
})

describe('a replica and its primary', () => {
  let pair: Pair

  beforeAll(async () => {
    pair = await openPair()
  })

  afterAll(async () => {
    await pair[Symbol.asyncDispose]()
  })

  test('replay can be held back and released, and WAL is received meanwhile', async () => {
    const { primary, replica } = await emptied(pair)
    await replica.pauseReplay()
    await primary.query('insert into item values (1)')
    await received(pair)
    expect(await idsIn(replica)).toEqual([])
    await replica.resumeReplay()
    await arrives(replica, 1)
  })

  test('an apply delay holds commits back until it is taken away', async () => {
    const { primary, replica } = await emptied(pair)
    await replica.setApplyDelay(600_000)
    await primary.query('insert into item values (1)')
    await received(pair)
    expect(await idsIn(replica)).toEqual([])
    await replica.setApplyDelay(0)
    await arrives(replica, 1)
  })

  test('a synchronous replica that is held back holds back commits on the primary', async () => {
    const { primary, replica } = await emptied(pair)
    await primary.configure({ synchronous_standby_names: 'FIRST 1 ("eu-west")', synchronous_commit: 'remote_apply' })
    const isSynchronous = async () => {
      const [row] = await primary.query<{ sync_state: string }>('select sync_state from pg_stat_replication')
      return row?.sync_state === 'sync'
    }
    await waitUntil('the replica is synchronous', isSynchronous, IN_TIME)
    await replica.pauseReplay()
    const insert = primary.query('insert into item values (1)')
    const isWaiting = async () =>
      (await primary.query(`select from pg_stat_activity where wait_event = 'SyncRep'`)).length === 1
    await waitUntil('the commit waits', isWaiting, IN_TIME)
    expect(await idsIn(primary)).toEqual([])
    await replica.resumeReplay()
    await insert
    expect(await idsIn(primary)).toEqual([1])
    await primary.query('alter system reset all')
    await primary.query('select pg_reload_conf()')
  })

  test('a replica catches up after its primary was killed and started again', async () => {
    const { primary, replica } = await emptied(pair)
    await primary.kill()
    await primary.start()
    await primary.query('insert into item values (1)')
    await arrives(replica, 1)
  })
})

test('a promoted replica takes writes on a new timeline', async () => {
  await using pair = await openPair()
  const { primary, replica } = pair
  await primary.query('insert into item values (1)')
  await arrives(replica, 1)
  await primary.kill()
  await replica.promote()
  await replica.query('insert into item values (2)')
  expect(await idsIn(replica)).toEqual([1, 2])
  const [wal] = await replica.query<{ file: string }>('select pg_walfile_name(pg_current_wal_lsn()) as file')
  expect(wal?.file.slice(0, 8)).toBe('00000002')
})

test('what was altered on the primary does not bind its replica', async () => {
  await using primary = await PostgresServer.start({ durable: false })
  await primary.query('create table item (id int)')
  await primary.query(`alter system set synchronous_standby_names = 'somebody'`)
  await using replica = await primary.createReplica({ name: 'eu-west' })
  await replica.promote()
  await replica.query('insert into item values (1)')
  expect(await idsIn(replica)).toEqual([1])
})

test('a replica that can not be made leaves no slot behind', async () => {
  await using primary = await PostgresServer.start({ durable: false })
  const settings = { max_connections: 'many' }
  await expect(primary.createReplica({ name: 'eu-west', settings })).rejects.toMatchObject({ code: 'CHILD_DIED' })
  expect(await primary.query('select slot_name from pg_replication_slots')).toEqual([])
})
