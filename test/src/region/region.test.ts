import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { RedisServer, TcpProxy } from '@tidemark/local'
import { NetworkedKafka } from '../outage/networked-kafka.ts'
import { seedOf } from '../seeded-random.ts'
import { cutOffFromKafka, RETENTION_PASSED, STALL_MS } from './kafka-scenarios.ts'
import type { Scenario } from './region.ts'
import { expectLawful } from './region-expectations.ts'
import { printed, type RegionReport, reportOf } from './region-report.ts'
import { type RunOptions, runScenario } from './region-run.ts'
import { lateCommands } from './worker-scenarios.ts'

// Some seconds of what the long tests of this folder do for minutes.

const BRIEF: RunOptions = {
  ...{ seed: seedOf(process.env.TIDEMARK_SEED), commitsPerSecond: 100, faultMs: 6_000, aroundMs: 500 },
}
const IN_TIME_MS = 240_000

let kafka: NetworkedKafka

beforeAll(async () => {
  kafka = await NetworkedKafka.start()
}, 120_000)

afterAll(() => kafka?.[Symbol.asyncDispose]())

async function survived(name: string, scenario: Scenario, gap?: string): Promise<RegionReport> {
  const report = reportOf(await runScenario(scenario, BRIEF))
  console.info(printed(name, report))
  expectLawful(report, BRIEF, gap === undefined ? {} : { gap })
  return report
}

async function frozenWorker(): Promise<void> {
  await using redis = await RedisServer.start()
  await using network = await TcpProxy.start(redis.port)
  await survived('late commands in a gap', lateCommands(redis, network), 'view-missing')
}

async function cutOff(): Promise<void> {
  const { told } = await survived('cut off from Kafka', cutOffFromKafka(kafka))
  const unready = told.find(({ what }) => what === 'not ready')
  // It counts from the last beat that it heard, which was before the fault.
  const [, silentMs] = /^cut off since \S+ \((\d+) ms\)/.exec(unready?.reasons[0] ?? '') ?? []
  expect(Number(silentMs)).toBeGreaterThanOrEqual(STALL_MS)
}

async function retentionPassed(): Promise<void> {
  const { gaps, gapsCounted } = await survived('retention passed', RETENTION_PASSED, 'offset-gone')
  expect(gapsCounted).toBe(gaps.length)
}

test.each([
  [
    'I3, I6: what a worker sent before it froze reaches Redis in a gap that another has found: it is refused',
    frozenWorker,
  ],
  ['I7: a region that is cut off from Kafka serves nothing as fresh beyond its contract, and says so', cutOff],
  ['I4: retention passed while the region had no worker: a gap, announced and counted, nothing stale', retentionPassed],
])('%s', (_, behaves) => behaves(), IN_TIME_MS)
