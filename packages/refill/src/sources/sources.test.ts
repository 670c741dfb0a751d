import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, test } from '@jest/globals'
import type { Demand } from '@tidemark/guard'
import { ORIGIN, position } from '@tidemark/protocol'
import { CHANNEL, type RefillEvent } from '../events.ts'
import { BreakingPool, ScriptedPool, SilentPool, UnreachablePool } from '../testing/scripted-pools.ts'
import { DEFAULT_TIMINGS } from '../timings.ts'
import type { Connection, ConnectionPool } from './database.ts'
import { DEFAULT_PRIMARY_LIMIT, PrimaryLimited, type PrimaryLimitOptions } from './primary-limit.ts'
import { type Requirement, Sources } from './sources.ts'
import type { StandingRow } from './standing.ts'

const ROW = {
  segment_bytes: '16777216',
  timeline: 1,
  epoch: 1,
  epoch_timeline: 1,
  system_identifier: '77',
  version: 180_000,
  server: 'one',
}
const PRIMARY = { ...ROW, recovering: false, insert_lsn: '0/9100', replay_lsn: null, receive_lsn: null }
const at = (lsn: number, epoch = 1) => position(epoch, BigInt(lsn))
const load = async (db: Connection) => (await db.query<{ of: string }>('rows')).rows[0]?.of

/** A server that answers with its own name; `standing` is called for each standing statement. */
function server(of: string, standing: () => Partial<StandingRow>): ScriptedPool {
  return new ScriptedPool((text) => {
    const results = text.split('; ').map((one) => ({
      rows: one === 'standing' ? [standing() as Record<string, unknown>] : one === 'rows' ? [{ of }] : [],
    }))
    return results.length === 1 ? results[0]! : results
  })
}

const replicaAt = (of: string, lsn: number, row: Partial<StandingRow> = {}) =>
  server(of, () => ({
    ...PRIMARY,
    recovering: true,
    insert_lsn: null,
    replay_lsn: `0/${lsn.toString(16)}`,
    receive_lsn: '0/9900',
    ...row,
  }))

interface Asked {
  readonly replicas: readonly ConnectionPool[]
  readonly need?: Partial<Requirement>
  readonly primary?: ConnectionPool
  readonly replicaWaitMs?: number
  readonly replicaAnswerMs?: number
  readonly mayServe?: boolean
  readonly limit?: Partial<PrimaryLimitOptions>
  readonly times?: number
}

/** Loads with replicas named a, b, … and collects what was told meanwhile. */
async function ask({
  replicas,
  need,
  primary,
  replicaWaitMs = 0,
  replicaAnswerMs = 10_000,
  mayServe = true,
  limit,
  times = 1,
}: Asked) {
  const events: RefillEvent[] = []
  const listen = (message: unknown) => void events.push(message as RefillEvent)
  subscribe(CHANNEL, listen)
  try {
    const sources = new Sources({
      source: 'shop',
      region: 'local',
      primary: primary ?? server('primary', () => PRIMARY),
      replicas: replicas.map((pool, i) => ({ name: 'abc'[i]!, pool })),
      statement: 'standing',
      timings: { ...DEFAULT_TIMINGS, replicaWaitMs, replicaAnswerMs, pollMs: 1 },
      primaryLimit: { ...DEFAULT_PRIMARY_LIMIT, ...limit },
    })
    const whole = { required: ORIGIN, granted: at(0x5000), demand: null, ...need }
    const once = () => sources.load('product', load, whole, { replicasMayServe: mayServe })
    for (let left = times; left > 1; left--) await once()
    const { from, loaded } = await once()
    return { from, value: loaded.value, label: loaded.label, events }
  } finally {
    unsubscribe(CHANNEL, listen)
  }
}

/** Three at once, and then one an hour. */
const LOW = { perSecond: 1 / 3_600, burst: 3, waitMs: 0 }

const session = (demand: Partial<Demand>) => ({ demand: { own: ORIGIN, seen: ORIGIN, ...demand } })

describe('sources', () => {
  test('are the replicas, of which nothing is known in their order, then the primary', async () => {
    const [a, b] = [replicaAt('a', 0x8000), replicaAt('b', 0x8800)]
    expect(await ask({ replicas: [a, b] })).toMatchObject({ from: 'a', value: 'a', label: { low: at(0x8000) } })
    expect(b.statements).toEqual([])
    expect(await ask({ replicas: [] })).toMatchObject({ from: 'primary', label: { low: at(0x5000) } })
  })

  test('without replicas that may serve, because the view’s beat is old, are the primary alone', async () => {
    const a = replicaAt('a', 0x8000)
    expect(await ask({ replicas: [a], mayServe: false })).toMatchObject({ from: 'primary', events: [] })
    expect(a.statements).toEqual([])
  })

  test('do not need to cover more than the key’s own past: a replica behind what was granted may fill', async () => {
    const need = { required: at(0x4000), granted: at(0x9000) }
    expect(await ask({ replicas: [replicaAt('a', 0x4000)], need })).toMatchObject({ from: 'a' })
  })
})

describe('a replica', () => {
  test('that lacks what is required is passed by, and what it lacked is told', async () => {
    const replicas = [replicaAt('a', 0x8000), replicaAt('b', 0x8800)]
    const { from, events } = await ask({ replicas, need: { required: at(0x8123) } })
    expect(from).toBe('b')
    expect(events).toEqual([
      { source: 'shop', region: 'local', keyspace: 'product', event: 'replicaLagging', replica: 'a', lagBytes: 0x123 },
    ])
  })

  test.each([
    ['wrote', session({ own: at(0x8123) })],
    ['saw', session({ seen: at(0x8123) })],
    ['wrote, in an epoch that it has not reached', session({ own: at(0x100, 2) })],
    ['saw, in an epoch that ended below it', session({ seen: at(0x8123, 0) })],
  ])('that lacks what the session %s is passed by', async (_, need) => {
    expect(await ask({ replicas: [replicaAt('a', 0x8000)], need })).toMatchObject({ from: 'primary' })
  })

  test('that covers both of a session’s positions is asked', async () => {
    const need = session({ own: at(0x8000), seen: at(0x7000) })
    expect(await ask({ replicas: [replicaAt('a', 0x8000)], need })).toMatchObject({ from: 'a' })
  })

  test('that is about to arrive is waited for', async () => {
    let looks = 0
    const a = replicaAt('a', 0)
    const arriving = server('a', () => ({
      ...PRIMARY,
      recovering: true,
      insert_lsn: null,
      replay_lsn: ++looks < 4 ? '0/8000' : '0/8200',
      receive_lsn: '0/9900',
    }))
    const { from, label } = await ask({
      replicas: [arriving, a],
      need: { required: at(0x8100) },
      replicaWaitMs: 10_000,
    })
    expect([from, label?.low]).toEqual(['a', at(0x8200)])
  })

  test('that does not arrive is waited for no longer than the bound', async () => {
    const start = performance.now()
    const asked = { replicas: [replicaAt('a', 0x8000)], need: { required: at(0x8100) }, replicaWaitMs: 30 }
    expect(await ask(asked)).toMatchObject({ from: 'primary' })
    expect(performance.now() - start).toBeGreaterThanOrEqual(30)
    expect(performance.now() - start).toBeLessThan(5_000)
  })

  test.each<[string, ConnectionPool]>([
    ['is away', new UnreachablePool()],
    ['breaks under the load', new BreakingPool('rows')],
    ['was promoted', server('a', () => PRIMARY)],
    ['does not stream', replicaAt('a', 0x8000, { receive_lsn: null })],
  ])('that %s is passed by, and told of', async (_, pool) => {
    const { from, events } = await ask({ replicas: [pool, replicaAt('b', 0x8000)] })
    expect(from).toBe('b')
    expect(events).toEqual([expect.objectContaining({ event: 'sourceFailed', from: 'a', error: expect.any(Error) })])
  })
})

test('when no source answers, the primary’s error is the one that is thrown', async () => {
  const asked = ask({ replicas: [new BreakingPool('rows')], primary: new UnreachablePool() })
  await expect(asked).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

describe('several replicas', () => {
  test('that all lag share one wait, and the primary is asked then', async () => {
    const replicas = [replicaAt('a', 0x8000), replicaAt('b', 0x8000), replicaAt('c', 0x8000)]
    const start = performance.now()
    const { from, events } = await ask({ replicas, need: { required: at(0x8100) }, replicaWaitMs: 300 })
    expect(from).toBe('primary')
    expect(performance.now() - start).toBeLessThan(600)
    expect(events.map((e) => e.event).filter((name) => name === 'replicaLagging')).toHaveLength(3)
    expect(events.filter((e) => e.event === 'replicaAwaited')).toMatchObject([{ replica: 'a', arrived: false }])
  })

  test('are each tried, and from then on the one that stands far enough is asked alone', async () => {
    const [behind, ahead] = [replicaAt('a', 0x8000), replicaAt('b', 0x8800)]
    const { from } = await ask({ replicas: [behind, ahead], need: { required: at(0x8100) }, times: 5 })
    expect(from).toBe('b')
    expect(behind.statements.filter((s) => s.includes('standing'))).toHaveLength(1)
  })

  test('of which one hangs cost its time-out a few times, not once a load', async () => {
    const silent = new SilentPool()
    const asked = { replicas: [silent, replicaAt('b', 0x8000)], replicaAnswerMs: 20, times: 50, need: {} }
    const { from, events } = await ask(asked)
    expect(from).toBe('b')
    expect(silent.asked).toBeLessThanOrEqual(3)
    expect(events.filter((e) => e.event === 'sourceFailed').length).toBe(silent.asked)
  })

  test('a replica that only lags stays in use', async () => {
    const { events } = await ask({ replicas: [replicaAt('a', 0x8000)], need: { required: at(0x8100) }, times: 9 })
    expect(events.filter((e) => e.event === 'replicaLagging')).toHaveLength(9)
    expect(events.filter((e) => e.event === 'replicaCircuit')).toEqual([])
  })

  test('a replica that fails again and again is passed by, and its circuit told of', async () => {
    const { events } = await ask({ replicas: [new UnreachablePool()], times: 9 })
    expect(events.filter((e) => e.event === 'sourceFailed')).toHaveLength(3)
    expect(events.filter((e) => e.event === 'replicaCircuit')).toMatchObject([{ replica: 'a', state: 'open' }])
  })
})

test('a Postgres that knows WAIT FOR LSN is asked to say when it has arrived', async () => {
  let waited = false
  const statements: string[] = []
  const standing = () => ({ recovering: true, insert_lsn: null, replay_lsn: waited ? '0/8100' : '0/8000' })
  const a = new ScriptedPool((text) => {
    statements.push(text)
    waited ||= text.startsWith('wait for lsn')
    const row = { ...PRIMARY, ...standing(), receive_lsn: '0/9900', version: 190_000 }
    const results = text.split('; ').map((one) => ({ rows: one === 'standing' ? [row] : [{ of: 'a' }] }))
    return results.length === 1 ? results[0]! : results
  })
  const { from, label, events } = await ask({ replicas: [a], need: { required: at(0x8100) }, replicaWaitMs: 5_000 })
  expect([from, label?.low]).toEqual(['a', at(0x8100)])
  expect(statements.filter((s) => s.startsWith('wait'))).toEqual([
    expect.stringMatching(/^wait for lsn '0\/8100' with \(timeout '\d+ms', no_throw\)$/),
  ])
  // It says nothing of labels: where the server stands is read after it.
  expect(statements.indexOf('standing')).toBe(2)
  expect(events.filter((e) => e.event === 'replicaAwaited')).toMatchObject([{ replica: 'a', arrived: true }])
})

test('the primary is asked no more than its limit allows, and a load beyond it is refused and counted', async () => {
  const events: RefillEvent[] = []
  const listen = (message: unknown) => void events.push(message as RefillEvent)
  subscribe(CHANNEL, listen)
  const asked = ask({ replicas: [replicaAt('a', 0)], need: { required: at(0x8100) }, limit: LOW, times: 4 })
  await expect(asked).rejects.toBeInstanceOf(PrimaryLimited)
  unsubscribe(CHANNEL, listen)
  expect(events.filter((e) => e.event === 'primaryLimited')).toMatchObject([{ keyspace: 'product' }])
  expect(await ask({ replicas: [], limit: LOW, times: 3 })).toMatchObject({ from: 'primary' })
})
