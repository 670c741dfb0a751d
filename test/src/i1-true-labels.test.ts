import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { PostgresServer } from '@tidemark/local'
import { parseLsn, position } from '@tidemark/protocol'
import { type Claim, type CommitHistory, falsehoodOf, historyOf } from './evidence/commit-history.ts'
import { LogRecorder } from './evidence/log-recorder.ts'
import { PipelineContext } from './pipeline/pipeline-context.ts'
import { countUp } from './pipeline/writers.ts'

/** TIDEMARK_REFILLS=10000 for a run at length. */
const REFILLS = Number(process.env.TIDEMARK_REFILLS ?? 2_500)
const WRITERS = 16
/** More than there are keys: who waits for another's load leaves the servers to those who load. */
const READERS = 24
const IDS = [1, 2, 3, 4, 5, 6, 7, 8]

let primary: PostgresServer
let replica: PostgresServer

/** A synchronous standby keeps each commit for a while between its WAL record and its visibility: the overclaimer's hour. */
beforeAll(async () => {
  primary = await PostgresServer.start({ durable: false })
  replica = await primary.createReplica({ name: 'beside' })
  await primary.configure({ synchronous_commit: 'remote_apply', synchronous_standby_names: 'beside' })
})

afterAll(async () => {
  // Without its standby the primary would wait at every commit.
  await primary?.configure({ synchronous_standby_names: '' })
  await replica?.[Symbol.asyncDispose]()
  await primary?.[Symbol.asyncDispose]()
})

function openPipeline(): Promise<PipelineContext> {
  return PipelineContext.open({ servers: { primaryUrl: primary.url(), replicaUrl: replica.url() } })
}

/** Runs `sample` from several readers until enough claims were made, against writers on the same eight rows. */
async function claimsUnderWrites(
  context: PipelineContext,
  wanted: number,
  sample: (id: number) => Promise<Claim | null>,
): Promise<{ readonly claims: readonly Claim[]; readonly history: CommitHistory }> {
  await context.primary.query('insert into hot select unnest($1::int[]), 0', [IDS])
  const recorder = await LogRecorder.start(context.primary, `${context.name}_history`, ['hot'])
  const claims: Claim[] = []
  {
    await using _writers = countUp(context.primary, IDS, WRITERS)
    const read = async () => {
      while (claims.length < wanted) {
        // By chance: taken in turn, all readers would queue at one key's lease.
        const claim = await sample(IDS[Math.floor(Math.random() * IDS.length)]!)
        if (claim) claims.push(claim)
      }
    }
    await Promise.all(Array.from({ length: READERS }, read))
  }
  return { claims, history: await historyOf(recorder.finish(), 1) }
}

function falsehoods(claims: readonly Claim[], history: CommitHistory): string[] {
  return claims.map((c) => falsehoodOf(c, history)).filter((f) => f !== null)
}

test(`I1 no refill overclaims or denies: ${REFILLS} of them through primary and replica, 16 writers, 8 hot keys`, async () => {
  await using context = await openPipeline()
  await context.start()
  const caches = [await context.counters({ replicas: [] }), await context.counters()]
  const from: Record<string, number> = {}
  const { claims, history } = await claimsUnderWrites(context, REFILLS, async (id) => {
    const reading = await caches[Math.floor(Math.random() * caches.length)]!.read({ id })
    if (reading.from === 'redis') return null
    from[reading.from] = (from[reading.from] ?? 0) + 1
    return { id: String(id), n: reading.value, position: reading.position, label: reading.label }
  })
  console.info(`refills by source: ${JSON.stringify(from)}; labelled: ${claims.filter((c) => c.label).length}`)
  expect(falsehoods(claims, history)).toEqual([])
  expect(from.primary).toBeGreaterThan(REFILLS / 10)
  expect(from.replica).toBeGreaterThan(REFILLS / 10)
}, 600_000)

test('the test of the test: the insert LSN as the label of a load from the primary is caught as an overclaim', async () => {
  await using context = await openPipeline()
  const { claims, history } = await claimsUnderWrites(context, 2_000, async (id) => {
    const connection = await context.primary.connect()
    try {
      const { rows } = await connection.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
      const { rows: read } = await connection.query<{ n: string }>('select n from hot where id = $1', [id])
      return { id: String(id), n: Number(read[0]!.n), position: position(1, parseLsn(rows[0]!.lsn)), label: null }
    } finally {
      connection.release()
    }
  })
  const caught = falsehoods(claims, history)
  console.info(`overclaims with the insert LSN as label: ${caught.length} of ${claims.length}`)
  expect(caught.length).toBeGreaterThan(0)
}, 120_000)
