import { describe, expect, test } from '@jest/globals'
import { position } from '@tidemark/protocol'
import { BreakingPool, RefusingPool, ScriptedPool } from '../testing/scripted-pools.ts'
import type { Connection } from './database.ts'
import { LoadFailure, loadFromPrimary, loadFromReplica } from './labelled-load.ts'
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

const fromReplica = (pool: ScriptedPool, wanted = at(0n), rounds = 0) => {
  let left = rounds
  const again = async () => left-- > 0
  return loadFromReplica(pool, STATEMENT, load, (p) => p >= wanted, again)
}
const fromPrimary = (pool: ScriptedPool, granted: ReturnType<typeof at> | null) =>
  loadFromPrimary(pool, STATEMENT, load, granted, () => NOW)

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

  test('that throws is a LoadFailure with its cause, and rolled back', async () => {
    const pool = new ScriptedPool((text) =>
      text.startsWith('begin') ? [{ rows: [] }, { rows: [{ ...REPLICA }] }] : { rows: [] },
    )
    const failing = async () => Promise.reject(new RangeError('mine'))
    const answer = loadFromReplica(
      pool,
      STATEMENT,
      failing,
      () => true,
      async () => false,
    )
    await expect(answer).rejects.toMatchObject({ cause: expect.any(RangeError) })
    await expect(answer).rejects.toBeInstanceOf(LoadFailure)
    expect(pool).toMatchObject({ released: ['returned'] })
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
