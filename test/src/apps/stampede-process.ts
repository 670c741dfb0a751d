import { appendFileSync } from 'node:fs'
import { openTidemark } from '@tidemark/refill'
import { hotSource } from '../pipeline/hot-source.ts'
import { quietPool, quietRedis } from '../pipeline/pipeline-context.ts'
import type { StampedeNote, StampedeSetup } from './stampede.ts'

// An app process whose readers all ask for one key at once, when it is told to by SIGUSR2.

const setup = JSON.parse(process.env.TIDEMARK_TEST_APP ?? '') as StampedeSetup
// At once and not behind the event loop: the process may be killed right after.
const note = (one: StampedeNote) => appendFileSync(setup.notesFile, `${JSON.stringify(one)}\n`)

const redis = quietRedis(setup.redisUrl)
const tidemark = await openTidemark({
  ...{ source: hotSource(setup.source), region: setup.region, redis, primary: quietPool(setup.primaryUrl, 4) },
  // A machine that is busy with other tests does not make a Redis that is away; a lease is to outlast a command all the same.
  timings: { leaseMs: setup.leaseMs, redisTimeoutMs: setup.leaseMs - 1 },
})
const counters = tidemark.cache('hot', {
  load: async (db, { id }) => {
    note({ kind: 'load' })
    const { rows } = await db.query<{ n: string }>('select n, pg_sleep($2) from hot where id = $1', [
      id,
      setup.loadMs / 1_000,
    ])
    return Number(rows[0]!.n)
  },
})
await redis.ping()

process.once('SIGUSR2', async () => {
  const read = async () => {
    const start = performance.now()
    const n = await counters.get({ id: setup.id })
    note({ kind: 'read', n, ms: performance.now() - start })
  }
  await Promise.all(Array.from({ length: setup.readers }, read))
})
process.once('SIGTERM', () => process.exit(0))
note({ kind: 'ready' })
