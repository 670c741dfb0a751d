import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { KafkaCluster, KafkaServer, RedisServer, TcpProxy } from '@tidemark/local'
import { NetworkedKafka } from '../outage/networked-kafka.ts'
import { seedOf } from '../seeded-random.ts'
import { brokerKilled, cutOffFromKafka, leaderKilled, RETENTION_PASSED } from './kafka-scenarios.ts'
import type { Scenario } from './region.ts'
import { expectLawful } from './region-expectations.ts'
import { printed, type RegionReport, reportOf } from './region-report.ts'
import { type RunOptions, runScenario } from './region-run.ts'
import { lateCommands, WORKER_SCENARIOS } from './worker-scenarios.ts'

const AROUND_MS = 10_000
const SEED = seedOf(process.env.TIDEMARK_SEED)

/** How long the fault lasts, in seconds; TIDEMARK_OUTAGE_S says another length for all. */
function optionsOf(seconds: number, commitsPerSecond = 200): RunOptions {
  const faultMs = Number(process.env.TIDEMARK_OUTAGE_S ?? seconds) * 1000
  return { seed: SEED, commitsPerSecond, faultMs, aroundMs: AROUND_MS }
}

async function survived(name: string, scenario: Scenario, options: RunOptions, gap?: string): Promise<RegionReport> {
  const report = reportOf(await runScenario(scenario, options))
  // At once, for whoever waits: reporters tell only of the whole.
  process.stderr.write(`seed ${options.seed} (TIDEMARK_SEED)\n${printed(name, report)}\n\n`)
  expectLawful(report, options, gap === undefined ? {} : { gap })
  return report
}

const WORKER_SECONDS: Readonly<Record<keyof typeof WORKER_SCENARIOS, number>> = {
  'worker killed again and again': 60,
  'worker paused while another takes over': 60,
  'three workers, one leaving or joining at any time': 120,
}

test.each(Object.entries(WORKER_SCENARIOS))('I3, I6: %s: nothing false is served or held', async (name, scenario) => {
  await survived(name, scenario, optionsOf(WORKER_SECONDS[name as keyof typeof WORKER_SCENARIOS]))
})

test('I3, I6: what a worker sent before it froze reaches Redis in a gap that another has found: it is refused', async () => {
  await using redis = await RedisServer.start()
  await using network = await TcpProxy.start(redis.port)
  await survived('late commands in a gap', lateCommands(redis, network), optionsOf(60), 'view-missing')
})

test('I4: the broker is killed and comes back: the region goes on where its Redis stands', async () => {
  await using kafka = await KafkaServer.start()
  await survived('broker killed', brokerKilled(kafka), optionsOf(30))
})

test('I4: of three brokers the leader is killed and comes back: the region goes on where its Redis stands', async () => {
  await using cluster = await KafkaCluster.start()
  await survived('leader of three brokers killed', leaderKilled(cluster), optionsOf(30))
})

test('I4: retention passed while the region had no worker: a gap, announced and counted, and nothing stale', async () => {
  const report = await survived('retention passed', RETENTION_PASSED, optionsOf(60), 'offset-gone')
  expect(report.gapsCounted).toBe(report.gaps.length)
})

let kafka: NetworkedKafka

beforeAll(async () => {
  kafka = await NetworkedKafka.start()
}, 120_000)

afterAll(() => kafka?.[Symbol.asyncDispose]())

test('I7: ten minutes cut off from Kafka, at 1,000 writes a second: what is served keeps its contract', async () => {
  const report = await survived('cut off from Kafka', cutOffFromKafka(kafka), optionsOf(600, 1_000))
  expect(report.told).toContainEqual(expect.objectContaining({ what: 'not ready' }))
})
