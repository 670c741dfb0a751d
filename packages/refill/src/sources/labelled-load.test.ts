import { describe, expect, test } from '@jest/globals'
import { position } from '@tidemark/protocol'
import { BreakingPool, RefusingPool, ScriptedPool } from '../testing/scripted-pools.ts'
import type { Connection } from './database.ts'
import { type Isolation, type Load, LoadFailure, loadFromPrimary, loadFromReplica } from './labelled-load.ts'
import type { StandingRow } from './standing.ts'

const STATEMENT = 'standing'
const NOW = 1_700_000_000_000
const PRIMARY: StandingRow = {
  recovering: false,
  insert_lsn: '0/5100',
  replay_lsn: null,
  receive_lsn: null,
  segment_bytes: '16777216',
  timeline: 1,
  epoch: 2,
  epoch_timeline: 1,
  system_identifier: '77',
  version: 180_000,
  server: 'one',
}
const REPLICA = { ...PRIMARY, recovering: true, insert_lsn: null, replay_lsn: '0/5100', receive_lsn: '0/5900' }
const at = (lsn: bigint, epoch = 2) => position(epoch, lsn)
const load = async (db: Connection) => (await db.query<{ cents: number }>('rows')).rows[0]?.cents

/** Answers the standing statement with each row in turn, then with the last one. */
function server(...standings: Partial<StandingRow>[]) {
  const rows = [...standings]
  const standing = () => ({ rows: [(rows.length > 1 ? rows.shift() : rows[0]) as Record<string, unknown>] })
  const answer = (text: string) => {
    if (text === STATEMENT) return standing()
    return { rows: text === 'rows' ? [{ cents: 1999 }] : [] }
  }
  return new ScriptedPool((text) => {
    const results = text.split('; ').map(answer)
    return results.length === 1 ? results[0]! : results
  })
}

const fromReplica = (pool: ScriptedPool, wanted = at(0n), rounds = 0, isolation?: Isolation) => {
  let left = rounds
  const again = async () => left-- > 0
  return loadFromReplica({ pool, statement: STATEMENT, load, isolation, reached: (p) => p >= wanted, again })
}
const fromPrimary = (pool: ScriptedPool, granted: ReturnType<typeof at> | null, isolation?: Isolation) =>
  loadFromPrimary({ pool, statement: STATEMENT, load, isolation }, granted, () => NOW)

describe('a load from a replica', () => {
  test('reads the replay LSN in a statement of its own before the rows, in one READ COMMITTED transaction', async () => {
    const pool = server(REPLICA, { ...REPLICA, replay_lsn: '0/6100', receive_lsn: '0/6900' })
    expect(await fromReplica(pool)).toMatchObject({
      code: 'loaded',
      loaded: { value: 1999, label: { low: at(0x5100n), high: at(0x6900n) }, loadedAt: null },
    })
    expect(pool.statements).toEqual([
      'begin isolation level read committed read only; standing',
      'rows',
      'standing; commit',
    ])
  })

  test('is waited for while it lags, and its label begins where it had arrived', async () => {
    const pool = server(REPLICA, REPLICA, { ...REPLICA, replay_lsn: '0/5800' })
    expect(await fromReplica(pool, at(0x5800n), 9)).toMatchObject({ loaded: { label: { low: at(0x5800n) } } })
  })

  test('that lags for too long asks it for no rows, and says how far it was', async () => {
    const pool = server(REPLICA)
    expect(await fromReplica(pool, at(0x5101n), 2)).toEqual({ code: 'lagging', position: at(0x5100n) })
    expect(pool.statements).not.toContain('rows')
    expect(pool).toMatchObject({ released: ['returned'] })
    expect(pool.statements.at(-1)).toBe('rollback')
  })

  test('of an abandoned history lags behind whatever the new epoch requires', async () => {
    expect(await fromReplica(server({ ...REPLICA, epoch: 1, replay_lsn: 'F/0' }), at(0x10n))).toMatchObject({
      code: 'lagging',
    })
  })

  test.each([
    ['was promoted', PRIMARY],
    ['is on a timeline that was not announced', { ...REPLICA, timeline: 2 }],
    ['does not stream', { ...REPLICA, receive_lsn: null }],
    ['has no epoch', { ...REPLICA, epoch: null, system_identifier: null }],
  ])('that %s is unfit, before the load and after it', async (_, row) => {
    const before = server(row)
    expect(await fromReplica(before)).toEqual({ code: 'unfit' })
    expect(before.statements).not.toContain('rows')
    expect(await fromReplica(server(REPLICA, row))).toEqual({ code: 'unfit' })
  })

  const failing: Load<never> = async (db) => {
    await db.query('rows')
    throw new RangeError('mine')
  }
  const failingOn = (pool: ScriptedPool) =>
    loadFromReplica({ pool, statement: STATEMENT, load: failing, reached: () => true, again: async () => false })

  test('that throws is rolled back, and told apart from a server that is away', async () => {
    const pool = server(REPLICA)
    const answer = await failingOn(pool)
    expect(answer).toEqual({ code: 'failed', failure: expect.any(LoadFailure) })
    expect(answer).toMatchObject({ failure: { cause: expect.any(RangeError) } })
    expect(pool).toMatchObject({ released: ['returned'] })
  })

  test('that throws on a connection that is broken is thrown', async () => {
    const pool = new BreakingPool('rollback', () => [{ rows: [] }, { rows: [{ ...REPLICA }] }])
    await expect(failingOn(pool)).rejects.toBeInstanceOf(LoadFailure)
    expect(pool).toMatchObject({ released: ['destroyed'] })
  })

  describe('of one snapshot', () => {
    test('reads the replay LSN before the transaction whose first statement takes the snapshot', async () => {
      const pool = server(REPLICA, { ...REPLICA, replay_lsn: '0/6100', receive_lsn: '0/6900' })
      expect(await fromReplica(pool, at(0n), 0, 'snapshot')).toMatchObject({
        loaded: { value: 1999, label: { low: at(0x5100n), high: at(0x6900n) } },
      })
      expect(pool.statements).toEqual([
        'select 1; standing',
        'begin isolation level repeatable read read only',
        'rows',
        'standing; commit',
      ])
    })

    test('that a pooler sent to another server than its label is unfit', async () => {
      const pool = server(REPLICA, { ...REPLICA, server: 'another' })
      expect(await fromReplica(pool, at(0n), 0, 'snapshot')).toEqual({ code: 'unfit' })
    })
  })
})

describe('a load from the primary', () => {
  test('is labelled from what the lease granted to where the log ended after the rows', async () => {
    const pool = server(PRIMARY)
    expect(await fromPrimary(pool, at(0x4000n))).toMatchObject({
      value: 1999,
      label: { low: at(0x4000n), high: at(0x5100n) },
      loadedAt: NOW,
    })
    expect(pool.statements).toEqual(['begin isolation level read committed read only', 'rows', STATEMENT, 'commit'])
  })

  test('of one snapshot is labelled alike: what was granted was visible before any snapshot', async () => {
    const pool = server(PRIMARY)
    expect(await fromPrimary(pool, at(0x4000n), 'snapshot')).toMatchObject({ label: { low: at(0x4000n) } })
    expect(pool.statements[0]).toBe('begin isolation level repeatable read read only')
  })

  test('has a label that ends no earlier than it begins, were the log shorter than what was granted', async () => {
    const { label } = await fromPrimary(server(PRIMARY), at(0x9000n))
    expect(label).toEqual({ low: at(0x9000n), high: at(0x9000n) })
  })

  test.each([
    ['there is no lease', PRIMARY, null],
    ['its epoch is older than the lease’s', { ...PRIMARY, epoch: 1 }, at(0x4000n)],
    ['its epoch is newer than the lease’s', { ...PRIMARY, epoch: 3 }, at(0x4000n)],
    ['it was promoted and not announced', { ...PRIMARY, timeline: 2 }, at(0x4000n)],
    ['it is a standby', REPLICA, at(0x4000n)],
    ['no epoch was recorded', { ...PRIMARY, epoch: null, system_identifier: null }, at(0x4000n)],
  ])('has no label when %s', async (_, row, granted) => {
    expect(await fromPrimary(server(row), granted)).toMatchObject({ value: 1999, label: null })
  })

  test.each(['42P01', '3F000'])('of a database without the epoch table (%s) hands over the rows', async (code) => {
    const pool = new RefusingPool(STATEMENT, code)
    expect(await fromPrimary(pool, at(0x4000n))).toMatchObject({ label: null, standing: null })
    expect(pool).toMatchObject({ released: ['returned'] })
    expect(pool.statements.at(-1)).toBe('rollback')
  })

  test('whose server cannot say where it stands fails, and says why', async () => {
    await expect(fromPrimary(new RefusingPool(STATEMENT, '42501'), at(1n))).rejects.toMatchObject({ code: '42501' })
    const broken = new BreakingPool(STATEMENT)
    await expect(fromPrimary(broken, at(1n))).rejects.toThrow('terminated')
    expect(broken.released).toEqual(['destroyed'])
  })
})
