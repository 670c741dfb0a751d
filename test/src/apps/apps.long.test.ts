import { expect, test } from '@jest/globals'
import { seedOf } from '../seeded-random.ts'
import { type AppsRunOptions, printed, runApps } from './apps-run.ts'

const LONG: AppsRunOptions = {
  ...{ seed: seedOf(process.env.TIDEMARK_SEED), seconds: 300, mostLagMs: 30_000, commitsPerSecond: 60, pauseMs: 10 },
}

test(`I1, I7: eight processes in two regions on replicas that lag are told nothing untrue, from seed ${LONG.seed}`, async () => {
  const report = await runApps(LONG)
  console.info(printed(report, LONG))
  expect(report.breaches.slice(0, 10)).toEqual([])
  expect(report.failures.slice(0, 10)).toEqual([])
  expect(report.missingPaths).toEqual([])
}, 900_000)
