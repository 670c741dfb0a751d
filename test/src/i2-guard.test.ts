import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { partitionKeys } from '@tidemark/guard'
import { PostgresServer, waitUntil } from '@tidemark/local'
import { partitionOf } from '@tidemark/protocol'
import { PipelineContext } from './pipeline/pipeline-context.ts'

let primary: PostgresServer
let replica: PostgresServer

beforeAll(async () => {
  primary = await PostgresServer.start({ durable: false })
  replica = await primary.createReplica({ name: 'laggard' })
})

afterAll(async () => {
  await replica?.[Symbol.asyncDispose]()
  await primary?.[Symbol.asyncDispose]()
})

async function openPipeline(): Promise<PipelineContext> {
  const context = await PipelineContext.open({ servers: { primaryUrl: primary.url(), replicaUrl: replica.url() } })
  await context.start()
  await context.primary.query('insert into hot values (1, 1), (2, 1)')
  await context.caughtUp()
  await replicaCaughtUp(context)
  return context
}

async function replicaCaughtUp(context: PipelineContext): Promise<void> {
  const { rows } = await context.primary.query<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn')
  const caughtUp = async () => {
    const answer = await context.replica.query<{ done: boolean }>(
      'select pg_last_wal_replay_lsn() >= $1::pg_lsn as done',
      [rows[0]!.lsn],
    )
    return answer.rows[0]!.done
  }
  await waitUntil('the replica has replayed', caughtUp, { timeoutMs: 30_000 })
}

/** Commits n and waits until its invalidation has been applied. */
async function change(context: PipelineContext, n: number): Promise<void> {
  await context.primary.query('update hot set n = $1 where id = 1', [n])
  await context.caughtUp()
}

test('I2 tombstones that Redis has evicted: the horizon refuses the lagging replica in their stead', async () => {
  await using context = await openPipeline()
  const { keyPrefix, partitions } = context.source
  const { generations } = partitionKeys(keyPrefix, partitionOf('hot:1', partitions))
  const counters = await context.counters()
  await replica.pauseReplay()
  try {
    await change(context, 2)
    expect(await context.redis.unlink(...generations)).toBeGreaterThan(0)
    expect(await counters.read({ id: 1 })).toMatchObject({ value: 2, freshness: 'fresh', from: 'primary' })
  } finally {
    await replica.resumeReplay()
  }
})

for (const present of [true, false]) {
  const cell = present ? 'present' : 'absent'

  test(`I2 invalidation before the refill, key ${cell}: the lagging replica is refused, the primary asked`, async () => {
    await using context = await openPipeline()
    const counters = await context.counters()
    if (present) await counters.get({ id: 1 })
    await replica.pauseReplay()
    try {
      await change(context, 2)
      expect(await counters.read({ id: 1 })).toMatchObject({ value: 2, freshness: 'fresh', from: 'primary' })
      expect(await counters.read({ id: 1 })).toMatchObject({ value: 2, freshness: 'fresh', from: 'redis' })
      // Only the key's own past is asked of a replica: a key that has not changed is filled from it all the same.
      expect(await counters.read({ id: 2 })).toMatchObject({ value: 1, freshness: 'fresh', from: 'replica' })
    } finally {
      await replica.resumeReplay()
    }
  })

  for (const from of ['replica', 'primary'] as const) {
    test(`I2 invalidation during the refill from the ${from}, key ${cell}: what was loaded is not stored`, async () => {
      await using context = await openPipeline()
      const counters = await context.counters()
      if (present) await counters.get({ id: 1 })
      const tidemark = await context.tidemark(from === 'primary' ? { replicas: [] } : {})
      const slow = tidemark.cache('hot', {
        load: async (db) => {
          const { rows } = await db.query<{ n: string }>('select n from hot where id = 1')
          await change(context, 3)
          return Number(rows[0]!.n)
        },
      })
      await change(context, 2)
      await replicaCaughtUp(context)
      expect(await slow.read({ id: 1 })).toMatchObject({ value: 2, from })
      expect(await counters.read({ id: 1 })).toMatchObject({ value: 3, freshness: 'fresh' })
    })
  }

  test(`I2 invalidation after the refill, key ${cell}: the value is gone`, async () => {
    await using context = await openPipeline()
    const counters = await context.counters()
    if (present) await counters.get({ id: 1 })
    await change(context, 2)
    await counters.get({ id: 1 })
    await change(context, 3)
    const guarded = `${context.source.keyPrefix}:{${partitionOf('hot:1', context.source.partitions)}}:hot:1`
    expect(await context.redis.exists(guarded)).toBe(0)
    expect(await counters.get({ id: 1 })).toBe(3)
  })
}
