import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { Readers, staleCells } from './evidence/coherence-check.ts'
import { PipelineContext } from './pipeline/pipeline-context.ts'
import { ServiceProcess } from './pipeline/service-process.ts'
import { countUp } from './pipeline/writers.ts'
import { randomOf, seedOf } from './seeded-random.ts'

/** TIDEMARK_KILLS=20 for a run at length. */
const KILLS = Number(process.env.TIDEMARK_KILLS ?? 6)
const UPDATES = KILLS * 1_000
const IDS = Array.from({ length: 200 }, (_, i) => i + 1)
/** Between two kills of one service: long enough to come up, short enough to be caught at it. */
const LIFE_MS = { min: 200, max: 3_000 }

test(`I4 publisher and worker are killed ${KILLS} times each during ${UPDATES} updates: nothing is lost`, async () => {
  await using context = await PipelineContext.open()
  await context.primary.query('insert into hot select unnest($1::int[]), 0', [IDS])
  await using publisher = await ServiceProcess.start('publisher', context)
  await using worker = await ServiceProcess.start('worker', context)
  await context.caughtUp()
  const readers = await Readers.start(context, IDS)
  const seed = seedOf(process.env.TIDEMARK_SEED)
  console.info(`seed ${seed} (TIDEMARK_SEED)`)
  const random = randomOf(seed)
  await using writers = countUp(context.primary, IDS, 4, () => sleep(PACE_MS))
  await Promise.all([publisher, worker].map((service) => killAgainAndAgain(service, random)))
  await waitUntil('the updates are done', () => writers.commits >= UPDATES, { timeoutMs: 240_000 })
  await writers.stop()
  await context.caughtUp()
  const report = await readers.stop()
  console.info(
    `${writers.commits} updates; fresh ${report.fresh}, refused ${report.failures}, ${JSON.stringify(report.from)}`,
  )
  expect([publisher.kills, worker.kills]).toEqual([KILLS, KILLS])
  expect(report.falsehoods).toEqual([])
  expect(await staleCells(context)).toEqual([])
  // No epoch but the first: the stream was shown to continue each time.
  expect((await context.primary.query('select max(epoch) as epoch from tidemark.epoch')).rows[0].epoch).toBe(1)
}, 600_000)

/** Spreads the updates over about as long as the kills take. */
const PACE_MS = 12

async function killAgainAndAgain(service: ServiceProcess, random: () => number): Promise<void> {
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(LIFE_MS.min + random() * (LIFE_MS.max - LIFE_MS.min)) // the moment is the point, not the waiting
    await service.kill()
    await service.start()
  }
}
