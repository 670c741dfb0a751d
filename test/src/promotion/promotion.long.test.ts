import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { type PostgresServer, waitUntil } from '@tidemark/local'
import { between, randomOf, seedOf } from '../seeded-random.ts'
import { expectNothingAbandoned } from './promotion-expectations.ts'
import type { PromotionReport } from './promotion-report.ts'
import { PromotionStage } from './promotion-stage.ts'

const SEED = seedOf(process.env.TIDEMARK_SEED)
const ROUNDS = Number(process.env.TIDEMARK_ROUNDS ?? 10)
const IN_TIME = { timeoutMs: 120_000 }

test('a failover slot goes on where it stood: nothing that the standby had is skipped, and the epoch moves', async () => {
  await using stage = await PromotionStage.open({ standbySettings: { sync_replication_slots: true } })
  const { context, readers, standby } = stage
  const abandoned = context.startPublisher(context.first)
  context.startWorker()
  await stage.begin()
  await waitUntil('the standby has the slot', async () => (await slotOn(standby)) !== undefined, IN_TIME)
  await stage.loseWrites()
  await context.first.server.kill()

  const second = await stage.failOver()
  const kept = await slotOn(standby)
  context.startPublisher(second)
  await context.announced(second)
  const [epoch] = await standby.query<{ start: string }>(
    'select start_lsn::text as start from tidemark.epoch order by epoch desc limit 1',
  )
  expect(epoch!.start).toBe(kept)
  await readers.freshFrom(second, 60)

  await abandoned.stop()
  expectLostAndNotServed(await stage.report(), 2)
}, 600_000)

test('two failovers in a row, the second to a standby of the standby: the epoch rises each time', async () => {
  await using stage = await PromotionStage.open()
  const { context, readers, standby } = stage
  const cascading = await context.standbyOf(standby, 'cascading')
  context.startPublisher(context.first)
  context.startWorker()
  await stage.begin()
  await stage.loseWrites()
  await context.first.server.kill()
  const second = await stage.failOver()
  context.startPublisher(second)
  await context.announced(second)
  await readers.freshFrom(second, 60)

  await stage.loseWrites(cascading)
  await second.server.kill()
  const third = await stage.failOver(cascading)
  context.startPublisher(third)
  await context.announced(third)
  await readers.freshFrom(third, 60)
  expectLostAndNotServed(await stage.report(), 3)
}, 600_000)

test(`${ROUNDS} failovers at moments of a seed, with worker and apps restarted in between`, async () => {
  console.info(`seed ${SEED} (TIDEMARK_SEED)`)
  for (let round = 0; round < ROUNDS; round++) await failOverAtSomeMoment(SEED + round)
}, 3_600_000)

/** The old primary dies or lives on, and whatever the region needs is restarted before, between or after. */
async function failOverAtSomeMoment(seed: number): Promise<void> {
  const random = randomOf(seed)
  const someTime = () => sleep(between(random, 0, 400)) // the moment is the point, not the waiting
  const livesOn = random() < 0.5
  await using stage = await PromotionStage.open({ staying: livesOn })
  const { context, readers } = stage
  context.startPublisher(context.first)
  const worker = await context.startProcess('worker', context.first)
  await stage.begin()
  await stage.loseWrites()
  const restarts = [
    async () => {
      await worker.kill()
      await someTime()
      await worker.start()
    },
    () => stage.restartApps(),
  ]
  const restart = () => restarts[between(random, 0, 1)]!()
  if (!livesOn) await context.first.server.kill()
  const restarted = someTime().then(restart)
  await someTime()
  const second = await stage.failOver()
  await someTime()
  context.startPublisher(second)
  await restarted
  await restart()
  await context.announced(second)
  await restart()
  await context.caughtUp(second)
  await readers.freshFrom(second, 60)
  const report = await stage.report()
  console.info(`seed ${seed}, the old primary ${livesOn ? 'lives on' : 'dies'}`)
  expectLostAndNotServed(report, 2)
}

/** Of what was read as fresh before, some must have been lost, or nothing was tried. */
function expectLostAndNotServed(report: PromotionReport, epochs: number): void {
  expectNothingAbandoned(report, epochs)
  expect(report.abandoned.before).toBeGreaterThan(0)
}

/** The confirmed position of the publisher's slot, once the server has it for good. */
async function slotOn(server: PostgresServer): Promise<string | undefined> {
  const [slot] = await server.query<{ confirmed: string }>(
    `select confirmed_flush_lsn::text as confirmed from pg_replication_slots
      where slot_name like 'tidemark%' and failover and not temporary`,
  )
  return slot?.confirmed
}
