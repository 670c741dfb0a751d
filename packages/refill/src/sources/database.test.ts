import { EventEmitter } from 'node:events'
import { expect, test } from '@jest/globals'
import { BreakingPool, RefusingPool, ScriptedPool, UnreachablePool } from '../testing/scripted-pools.ts'
import { type Connection, type PooledConnection, rowsOfStatement, withConnection } from './database.ts'

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

test('a connection that breaks between two queries is heard and destroyed, and no listener is left', async () => {
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
  expect(connection.listenerCount('error')).toBe(0)
})

test('a driver that answers several statements with one result is named as the culprit', async () => {
  const db: Connection = { query: async () => ({ rows: [] }) }
  await expect(rowsOfStatement(db, 'begin; select', 1)).rejects.toThrow('simple query of several statements')
})
