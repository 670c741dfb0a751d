import { expect, jest, test } from '@jest/globals'
import { ScriptedPool, SilentPool, UnreachablePool } from '../testing/scripted-pools.ts'
import { EpochHistory } from './epoch-history.ts'

const row = (epoch: number | null) => ({
  recovering: false,
  insert_lsn: '0/5000',
  segment_bytes: '16777216',
  timeline: 1,
  epoch,
  epoch_timeline: 1,
  system_identifier: '77',
})

/** A primary whose newest epoch the test moves. */
function recording(epoch: number | null) {
  const state = { epoch }
  return { state, pool: new ScriptedPool(() => ({ rows: [row(state.epoch)] })) }
}

test('the primary is asked once, and not again for what is known', async () => {
  const { pool } = recording(3)
  const history = new EpochHistory(pool, 'standing')
  for (const atLeast of [0, 1, 3]) expect(await history.newest(atLeast)).toMatchObject({ epoch: 3 })
  expect(pool.statements).toEqual(['standing'])
})

test('a newer epoch that a session speaks of is asked for, at most once a second', async () => {
  const now = jest.spyOn(performance, 'now')
  now.mockReturnValue(10_000)
  const { pool, state } = recording(3)
  const history = new EpochHistory(pool, 'standing')
  await history.newest(0)
  state.epoch = 4
  now.mockReturnValue(10_999)
  expect(await history.newest(4)).toMatchObject({ epoch: 3 })
  now.mockReturnValue(11_000)
  expect(await history.newest(4)).toMatchObject({ epoch: 4, systemIdentifier: '77' })
  expect(pool.statements).toHaveLength(2)
  now.mockRestore()
})

test.each([
  ['is away', new UnreachablePool()],
  ['has no epoch recorded', recording(null).pool],
  ['is silent', new SilentPool()],
])('nothing is known, in bounded time, while the primary %s', async (_, pool) => {
  const start = performance.now()
  expect(await new EpochHistory(pool, 'standing').newest(1)).toBeNull()
  expect(performance.now() - start).toBeLessThan(5_000)
})

test('a silent primary is asked one question, not a queue of them, and nobody else waits for the answer', async () => {
  const now = jest.spyOn(performance, 'now')
  const pool = new SilentPool()
  const history = new EpochHistory(pool, 'standing')
  for (const ms of [0, 1_000, 2_000]) {
    now.mockReturnValue(ms)
    expect(await history.newest(1)).toBeNull()
  }
  expect(pool.asked).toBe(1)
  now.mockRestore()
})
