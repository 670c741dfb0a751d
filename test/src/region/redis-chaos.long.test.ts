import { expect, test } from '@jest/globals'
import { RedisCluster, RedisSentinel, RedisServer, type RedisSettings } from '@tidemark/local'
import { seedOf } from '../seeded-random.ts'
import {
  clusterNodeKilled,
  clusterResharded,
  masterKilled,
  masterPartitioned,
  redisFlushed,
  redisKilled,
  redisRestored,
} from './redis-scenarios.ts'
import type { Scenario } from './region.ts'
import { type Expected, expectLawful } from './region-expectations.ts'
import { printed, reportOf } from './region-report.ts'
import { type RunOptions, runScenario } from './region-run.ts'

/** How long each lasts, in seconds; TIDEMARK_FAULT_S says another length for all. */
const SECONDS = { short: 10, long: 60 }
const SEED = seedOf(process.env.TIDEMARK_SEED)
const EMPTIED: Expected = { gap: 'view-missing' }

interface Run {
  readonly seconds: number
  readonly expected?: Expected
  readonly open: (resources: AsyncDisposableStack) => Promise<Scenario>
}

function onServer(scenario: (redis: RedisServer) => Scenario, settings: RedisSettings = {}): Run['open'] {
  return async (resources) => scenario(resources.use(await RedisServer.start({ settings })))
}

const RUNS: Readonly<Record<string, Run>> = {
  'Redis killed, restarted empty': { seconds: SECONDS.short, expected: EMPTIED, open: onServer(redisKilled) },
  'Redis killed, restarted from its append-only file': {
    seconds: SECONDS.short,
    open: onServer(redisKilled, { appendonly: 'yes' }),
  },
  'Redis killed, restarted from its last snapshot': {
    seconds: SECONDS.short,
    open: onServer(redisKilled, { save: '5 1' }),
  },
  'Redis restored from an old snapshot': { seconds: SECONDS.long, open: onServer(redisRestored) },
  'Redis flushed again and again': { seconds: SECONDS.long, expected: EMPTIED, open: onServer(redisFlushed) },
  'master killed, replica promoted': {
    seconds: SECONDS.short,
    open: async (resources) => masterKilled(resources.use(await RedisSentinel.start())),
  },
  'master partitioned and written on': {
    seconds: SECONDS.long,
    open: async (resources) => masterPartitioned(resources.use(await RedisSentinel.start())),
  },
  'cluster resharded': {
    seconds: SECONDS.long,
    open: async (resources) => clusterResharded(resources.use(await RedisCluster.start())),
  },
  'cluster node killed, replica promoted': {
    seconds: SECONDS.short,
    open: async (resources) => clusterNodeKilled(resources.use(await RedisCluster.start({ replicas: 1 }))),
  },
}

test.each(Object.keys(RUNS))('I2, I3, I6: %s, under load: nothing false is served or held', async (name) => {
  const { seconds, expected, open } = RUNS[name]!
  const faultMs = Number(process.env.TIDEMARK_FAULT_S ?? seconds) * 1000
  const options: RunOptions = { seed: SEED, commitsPerSecond: 100, faultMs, aroundMs: 5_000 }
  await using resources = new AsyncDisposableStack()
  const report = reportOf(await runScenario(await open(resources), options))
  // At once, for whoever waits: reporters tell only of the whole.
  process.stderr.write(`seed ${SEED} (TIDEMARK_SEED)\n${printed(name, report)}\n`)
  expectLawful(report, options, expected)
  expect(report.faultSeconds).toBeGreaterThanOrEqual(faultMs / 1000)
})
