import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { Client } from 'pg'
import type { LocalServerError } from './errors.ts'
import { PostgresServer } from './postgres.ts'
import { isAlive } from './process-table.ts'
import { RunFolder } from './run-folder.ts'
import { waitUntil } from './wait.ts'

const UNSAFE = { durable: false }
const IN_TIME = { timeoutMs: 20_000 }

async function count(server: PostgresServer): Promise<number> {
  const rows = await server.query<{ n: number }>('select count(*)::int as n from item')
  return rows[0]?.n ?? Number.NaN
}

async function pidOf(server: PostgresServer): Promise<number> {
  return Number.parseInt(await readFile(join(server.dir, 'data/postmaster.pid'), 'utf8'), 10)
}

test('data survive an orderly stop, an immediate one and a SIGKILL, on the same port', async () => {
  await using server = await PostgresServer.start(UNSAFE)
  const { port } = server
  await server.query('create table item (id int primary key)')
  let rows = 0
  for (const end of [() => server.stop(), () => server.stop('immediate'), () => server.kill()]) {
    rows += 1
    await server.query('insert into item values ($1)', [rows])
    await end()
    expect(server.isRunning).toBe(false)
    await server.start()
    expect(await count(server)).toBe(rows)
  }
  expect(server.port).toBe(port)
})

test('a SIGKILL also ends a backend that is busy and would have committed later', async () => {
  await using server = await PostgresServer.start(UNSAFE)
  await server.query('create table item (id bigint)')
  const busy = new Client({ connectionString: server.url() })
  busy.on('error', () => undefined)
  await busy.connect()
  const { rows } = await busy.query<{ pid: number }>('select pg_backend_pid() as pid')
  const backend = rows[0]?.pid ?? Number.NaN
  const query = busy.query('insert into item select count(*) from generate_series(1, 1e9)')
  // The kernel closes the killed backend's socket, in good order or not.
  const outcome = expect(query).rejects.toThrow(/Connection terminated|ECONNRESET/)
  await waitUntil('the query runs', async () => isAlive(backend), IN_TIME)
  await server.kill()
  await outcome
  await waitUntil('the backend is gone', () => !isAlive(backend), IN_TIME)
  await server.start()
  expect(await count(server)).toBe(0)
})

test('a server that an earlier run left behind in the same folder is ended first', async () => {
  await using folder = await RunFolder.create()
  const dir = folder.at('postgres')
  const { promise: death, resolve: onDeath } = Promise.withResolvers<LocalServerError>()
  await using leftover = await PostgresServer.start({ ...UNSAFE, dir, onDeath })
  await leftover.query('create table item (id int)')
  const former = await pidOf(leftover)
  await using server = await PostgresServer.start({ ...UNSAFE, dir })
  expect(isAlive(former)).toBe(false)
  expect(await death).toMatchObject({ code: 'CHILD_DIED' })
  expect(await pidOf(server)).not.toBe(former)
  expect(await count(server)).toBe(0)
})

test('settings hold, and ALTER SYSTEM overrides them while it runs', async () => {
  await using server = await PostgresServer.start({ ...UNSAFE, settings: { work_mem: '5MB' }, syncStandbyNames: '' })
  const show = async (name: string) => Object.values((await server.query(`show ${name}`))[0] ?? {})[0]
  expect(await show('wal_level')).toBe('logical')
  expect(await show('work_mem')).toBe('5MB')
  await server.query("alter system set work_mem = '6MB'")
  await server.query('select pg_reload_conf()')
  await waitUntil('the new value holds', async () => (await show('work_mem')) === '6MB', IN_TIME)
})

test('a server has a system identifier of its own when asked to', async () => {
  const identityOf = (server: PostgresServer) => server.query('select system_identifier from pg_control_system()')
  await using one = await PostgresServer.start(UNSAFE)
  await using other = await PostgresServer.start({ ...UNSAFE, ownIdentity: true })
  expect(await identityOf(one)).not.toEqual(await identityOf(other))
})

test('a start that fails says why, and leaves neither process nor folder', async () => {
  await using folder = await RunFolder.create()
  const start = PostgresServer.start({ dir: folder.at('postgres'), settings: { max_connections: 'many' } })
  await expect(start).rejects.toMatchObject({
    code: 'CHILD_DIED',
    message: expect.stringMatching(/max_connections.*many/),
  })
})
