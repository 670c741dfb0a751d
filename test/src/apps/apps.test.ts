import { expect, test } from '@jest/globals'
import { seedOf } from '../seeded-random.ts'
import { type AppsRunOptions, printed, runApps } from './apps-run.ts'

const BRIEF: AppsRunOptions = {
  ...{ seed: seedOf(process.env.TIDEMARK_SEED), seconds: 12, mostLagMs: 5_000, commitsPerSecond: 60, pauseMs: 10 },
}

test(`I1, I7: eight processes in two regions on replicas that lag are told nothing untrue, from seed ${BRIEF.seed}`, async () => {
  const report = await runApps(BRIEF)
  console.info(printed(report, BRIEF))
  expect(report.breaches.slice(0, 10)).toEqual([])
  expect(report.failures.slice(0, 10)).toEqual([])
  expect(report.missingPaths).toEqual([])
}, 240_000)
