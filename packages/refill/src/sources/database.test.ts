import { EventEmitter } from 'node:events'
import { describe, expect, test } from '@jest/globals'
import { BreakingPool, RefusingPool, ScriptedPool, UnreachablePool } from '../testing/scripted-pools.ts'
import { type Connection, type ConnectionPool, type PooledConnection, rowsOfEach, withConnection } from './database.ts'

test('a connection is returned with the result', async () => {
  const pool = new ScriptedPool(() => ({ rows: [{ id: 1 }] }))
  expect(await withConnection(pool, (db) => db.query('select'))).toEqual({ rows: [{ id: 1 }] })
  expect(pool).toMatchObject({ statements: ['select'], released: ['returned'] })
})

test('after a failure it is rolled back and returned, and the failure rethrown as it is', async () => {
  const pool = new ScriptedPool()
  const failure = new RangeError('mine')
  const use = withConnection(pool, async () => {
    throw failure
  })
  await expect(use).rejects.toBe(failure)
  expect(pool).toMatchObject({ statements: ['rollback'], released: ['returned'] })
})

test('a statement that the server refuses costs no connection', async () => {
  const pool = new RefusingPool('select 1/0', '22012')
  await expect(withConnection(pool, (db) => db.query('select 1/0'))).rejects.toMatchObject({ code: '22012' })
  expect(pool.released).toEqual(['returned'])
})

test('one that cannot be rolled back is destroyed, and the error is the one that broke it', async () => {
  const pool = new BreakingPool('select')
  await expect(withConnection(pool, (db) => db.query('select'))).rejects.toThrow('terminated')
  expect(pool).toMatchObject({ statements: ['select', 'rollback'], released: ['destroyed'] })
})

test('a pool that hands out nothing is rethrown', async () => {
  await expect(withConnection(new UnreachablePool(), async () => 1)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('a connection that breaks between two queries is heard and destroyed, and heard still while it ends', async () => {
  const released: (boolean | undefined)[] = []
  const connection = Object.assign(new EventEmitter(), {
    query: async () => ({ rows: [] }),
    release: (destroy?: boolean) => void released.push(destroy),
  }) as EventEmitter & PooledConnection
  const use = withConnection({ connect: async () => connection }, async () => {
    connection.emit('error', new Error('terminated by an administrator'))
    return 'what was read before'
  })
  expect(await use).toBe('what was read before')
  expect(released).toEqual([true])
  expect(connection.listenerCount('error')).toBe(1)
})

test('of several statements each has its rows, by a driver that runs them at once and by one that cannot', async () => {
  const answers: Record<string, { rows: { n: number }[] }> = {
    'select 1': { rows: [{ n: 1 }] },
    'select 2': { rows: [{ n: 2 }] },
  }
  const together = new ScriptedPool((text) => text.split('; ').map((one) => answers[one]!))
  const asked: string[] = []
  const apart = async (text: string) => {
    asked.push(text)
    if (text.includes(';')) throw Object.assign(new Error('cannot insert multiple commands'), { code: '42601' })
    return answers[text]!
  }
  const each = (db: Connection) => rowsOfEach<{ n: number }>(db, ['select 1', 'select 2'])
  expect(await withConnection(together, each)).toEqual([[{ n: 1 }], [{ n: 2 }]])
  const db = { query: apart as unknown as Connection['query'] }
  expect(await each(db)).toEqual([[{ n: 1 }], [{ n: 2 }]])
  await each(db)
  // It was refused once only.
  expect(asked).toEqual(['select 1; select 2', 'select 1', 'select 2', 'select 1', 'select 2'])
})

test('a driver that answers several statements with one result is named as the culprit', async () => {
  const db: Connection = { query: async () => ({ rows: [] }) }
  await expect(rowsOfEach(db, ['begin', 'select'])).rejects.toThrow('the driver answers several statements')
})

describe('what is given up', () => {
  const reason = new Error('nobody wants it any more')

  test('while it hangs is thrown at once, its connection closed, and its late error is heard by nobody', async () => {
    const giveUp = new AbortController()
    const released: (boolean | undefined)[] = []
    const hanging = Promise.withResolvers<never>()
    const query = () => {
      giveUp.abort(reason)
      return hanging.promise
    }
    const connection: PooledConnection = { query, release: (destroy) => void released.push(destroy) }
    const use = withConnection({ connect: async () => connection }, (db) => db.query('pg_sleep'), giveUp.signal)
    await expect(use).rejects.toBe(reason)
    expect(released).toEqual([true])
    // An unhandled rejection would fail this run.
    hanging.reject(new Error('Connection terminated'))
    await new Promise(setImmediate)
  })

  test('before the pool has handed out a connection goes back to it when it comes', async () => {
    const giveUp = new AbortController()
    const late = Promise.withResolvers<PooledConnection>()
    const released: (boolean | undefined)[] = []
    const pool: ConnectionPool = { connect: () => late.promise }
    const use = withConnection(pool, async () => 'never', giveUp.signal)
    giveUp.abort(reason)
    await expect(use).rejects.toBe(reason)
    late.resolve({ query: async () => ({ rows: [] }), release: (destroy) => void released.push(destroy) })
    await new Promise(setImmediate)
    expect(released).toStrictEqual([undefined])
  })

  test('before it began asks the pool for nothing', async () => {
    const pool: ConnectionPool = { connect: () => Promise.reject(new Error('asked')) }
    await expect(withConnection(pool, async () => 1, AbortSignal.abort(reason))).rejects.toBe(reason)
  })
})
