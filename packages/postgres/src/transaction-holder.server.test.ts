import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { localServers } from '@tidemark/local'
import { Client } from 'pg'
import { holderOf, oldestHolder } from './transaction-holder.ts'

async function connect(application: string, user?: string): Promise<Client & AsyncDisposable> {
  const url = new URL(localServers().primaryUrl)
  if (user !== undefined) url.username = user
  const client = new Client({ connectionString: url.href, application_name: application })
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

/** A session in the middle of a transaction that writes. */
async function writing() {
  const client = await connect('a till')
  await client.query('begin')
  const { rows } = await client.query<{ xid: number; pid: number }>(
    'select pg_current_xact_id()::xid::text::bigint::float8 as xid, pg_backend_pid() as pid',
  )
  return { client, ...rows[0]! }
}

test('who holds a transaction is found by its id, with what it does and for how long', async () => {
  const { client: writer, xid, pid } = await writing()
  await using _ = writer
  await using asking = await connect('publisher')
  const holder = await holderOf(asking, xid)
  expect(holder).toMatchObject({ xid, pid, application: 'a till', state: 'idle in transaction', prepared: null })
  expect(holder?.ageSeconds).toBeGreaterThanOrEqual(0)
  const oldest = await oldestHolder(asking)
  expect(oldest?.xid).toBeLessThanOrEqual(xid)
  await writer.query('rollback')
  expect(await holderOf(asking, xid)).toBeUndefined()
})

test('a role that may not see other roles’ sessions is told which session it is, and no more', async () => {
  const { client: writer, xid, pid } = await writing()
  await using _ = writer
  const role = `blind_${randomUUID().slice(0, 8)}`
  await using admin = await connect('admin')
  await admin.query(`create role ${role} login`)
  try {
    await using asking = await connect('publisher', role)
    expect(await holderOf(asking, xid)).toEqual({
      ...{ xid, pid, application: 'a till', prepared: null },
      ...{ state: null, waitsFor: null, ageSeconds: null },
    })
  } finally {
    await admin.query(`drop role ${role}`)
  }
})
