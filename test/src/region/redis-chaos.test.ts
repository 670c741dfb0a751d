import { test } from '@jest/globals'
import { RedisCluster, RedisSentinel } from '@tidemark/local'
import { seedOf } from '../seeded-random.ts'
import { clusterResharded, masterPartitioned } from './redis-scenarios.ts'
import { expectLawful } from './region-expectations.ts'
import { printed, reportOf } from './region-report.ts'
import { type RunOptions, runScenario } from './region-run.ts'

// Some seconds of what `redis-chaos.long.test.ts` does for minutes. A Redis that is flushed, or taken back to an older
// snapshot, is in `i3-watermark.test.ts`.

const SEED = seedOf(process.env.TIDEMARK_SEED)
const BRIEF: RunOptions = { seed: SEED, commitsPerSecond: 100, faultMs: 3_000, aroundMs: 1_000 }

test('I3, I7: a master is written on behind a partition while another is made: nothing false is served or held', async () => {
  await using group = await RedisSentinel.start()
  const report = reportOf(await runScenario(masterPartitioned(group), BRIEF))
  console.info(printed('master partitioned and written on', report))
  expectLawful(report, BRIEF)
}, 240_000)

test('I3, I6: slots that carry partitions are handed on while they are applied: nothing is lost, nothing goes back', async () => {
  await using cluster = await RedisCluster.start()
  const report = reportOf(await runScenario(clusterResharded(cluster), BRIEF))
  console.info(printed('cluster resharded', report))
  expectLawful(report, BRIEF)
}, 240_000)
