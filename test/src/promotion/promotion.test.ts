import { readFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { RedisServer, waitUntil } from '@tidemark/local'
import { expectNothingAbandoned } from './promotion-expectations.ts'
import { PromotionStage } from './promotion-stage.ts'

const IN_TIME = { timeoutMs: 60_000 }

/** A publisher that Kafka, or the source's own history, has shut out. */
const SHUT_OUT = /SOURCE_ABANDONED|PUBLISHER_FENCED/

test('a standby is promoted: what the dead primary alone had is fresh for nobody once the epoch is announced', async () => {
  await using stage = await PromotionStage.open()
  const { context, readers } = stage
  const { first } = context
  const abandoned = context.startPublisher(first)
  context.startWorker()
  await stage.begin()
  readers.stay()
  const lost = await stage.loseWrites()
  const witness = await sawNewValue(stage)
  await first.server.kill()

  const second = await stage.failOver()
  await readers.goOn(30)
  context.startPublisher(second)
  await context.announced(second)
  readers.leaveAgain()
  expect(await second.end()).toBeLessThan(lost)
  // Whoever saw what is lost is told that nothing as new can be shown, until the log has passed it.
  expect(await witness()).toMatchObject({ freshness: 'stale', doubt: 'behind-session' })
  await readers.freshFrom(second, 60)
  for (let i = 0; i < 2; i++) await second.leapAhead()
  await context.caughtUp(second)
  expect(await witness()).toMatchObject({ freshness: 'fresh' })

  await abandoned.stop()
  const report = await stage.report()
  expectNothingAbandoned(report, 2)
  expect(report.abandoned.before).toBeGreaterThan(20)
  expect(report.sessionsThatSawLost).toBeGreaterThan(0)
}, 300_000)

test('an abandoned primary lives on with its publisher, writers, readers and replica: none of them is believed', async () => {
  await using stage = await PromotionStage.open({ staying: true })
  const { context, readers } = stage
  const abandoned = context.startPublisher(context.first)
  context.startWorker()
  await stage.begin()
  await stage.loseWrites()

  const second = await stage.failOver()
  context.startPublisher(second)
  await context.announced(second)
  await waitUntil('the old publisher stands aside', () => abandoned.codes.includes('SOURCE_ABANDONED'), IN_TIME)
  await readers.freshFrom(second, 60)

  const report = await stage.report()
  expectNothingAbandoned(report, 2)
  expect(report.abandoned.before).toBeGreaterThan(20)
}, 300_000)

test('a gap is not closed by a publisher that was frozen while another took its place', async () => {
  await using redis = await RedisServer.start()
  await using stage = await PromotionStage.open({ staying: true, redisUrl: redis.url })
  const { context, readers } = stage
  const frozen = await context.startProcess('publisher', context.first)
  context.startWorker()
  await stage.begin()
  await stage.loseWrites()
  frozen.pause()

  const second = await stage.failOver()
  const publisher = await context.startProcess('publisher', second)
  await context.announced(second)
  // What an app has met it remembers; one that never met the epoch could not tell one primary from the other.
  await readers.everyAppLooks()
  publisher.pause()
  await context.redis.flushall()
  await waitUntil('the region trusts nothing', () => context.trustsNothing(), IN_TIME)
  frozen.resume()
  const isHeardOf = async () =>
    SHUT_OUT.test(await readFile(frozen.logFile, 'utf8')) || !(await context.trustsNothing())
  await waitUntil('the frozen publisher is heard of', isHeardOf, IN_TIME)
  await readers.goOn(100)
  expect(await context.trustsNothing()).toBe(true)
  publisher.resume()
  await context.caughtUp(second)
  await readers.freshFrom(second, 60)

  expectNothingAbandoned(await stage.report(), 2)
}, 300_000)

/** Reads on in one session until it has seen a value of now, and gives the way to read on. */
async function sawNewValue({ context, pool, primary }: PromotionStage) {
  const { tidemark, rows } = await context.openApp(pool)
  const session = tidemark.session()
  const read = () => rows.read({ id: 1 }, { session })
  const now = context.nextValue(primary)
  const isNew = async () => {
    const { freshness, value } = await read()
    return freshness === 'fresh' && value > now
  }
  await waitUntil('a session sees a new value', isNew, IN_TIME)
  return read
}
