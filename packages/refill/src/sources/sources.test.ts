import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, test } from '@jest/globals'
import type { Demand } from '@tidemark/guard'
import { ORIGIN, position } from '@tidemark/protocol'
import { CHANNEL, type RefillEvent } from '../events.ts'
import { BreakingPool, ScriptedPool, UnreachablePool } from '../testing/scripted-pools.ts'
import { DEFAULT_TIMINGS } from '../timings.ts'
import type { Connection, ConnectionPool } from './database.ts'
import { type Requirement, Sources } from './sources.ts'
import type { StandingRow } from './standing.ts'

const ROW = { segment_bytes: '16777216', timeline: 1, epoch: 1, epoch_timeline: 1, system_identifier: '77' }
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
  readonly mayServe?: boolean
}

/** Loads with replicas named a, b, … and collects what was told meanwhile. */
async function ask({ replicas, need, primary, replicaWaitMs = 0, mayServe = true }: Asked) {
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
      timings: { ...DEFAULT_TIMINGS, replicaWaitMs, pollMs: 1 },
    })
    const whole = { required: ORIGIN, granted: at(0x5000), demand: null, ...need }
    const { from, loaded } = await sources.load('product', load, whole, mayServe)
    return { from, value: loaded.value, label: loaded.label, events }
  } finally {
    unsubscribe(CHANNEL, listen)
  }
}

const session = (demand: Partial<Demand>) => ({ demand: { own: ORIGIN, seen: ORIGIN, ...demand } })

describe('sources', () => {
  test('are the replicas in their order, then the primary', async () => {
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
