import { expect, test } from '@jest/globals'
import { seedOf } from '../seeded-random.ts'
import { expectLawful } from './region-expectations.ts'
import { reportOf, shownTableOf, tableOf } from './region-report.ts'
import { type RunOptions, runScenario } from './region-run.ts'
import { WORKER_SCENARIOS } from './worker-scenarios.ts'

// Some seconds of what the long tests of this folder do for minutes.

const BRIEF: RunOptions = {
  ...{ seed: seedOf(process.env.TIDEMARK_SEED), commitsPerSecond: 100, faultMs: 8_000, aroundMs: 1_000 },
}

test('I3, I6: a worker is paused while another takes over, and resumed: nothing false is served or held', async () => {
  const name = 'worker paused while another takes over'
  const report = reportOf(await runScenario(WORKER_SCENARIOS[name], BRIEF))
  console.info(`${tableOf(new Map([[name, report]]))}\n\n${shownTableOf(report)}`)
  expect(report.faultSeconds).toBeGreaterThanOrEqual(BRIEF.faultMs / 1000)
  expectLawful(report, BRIEF)
}, 240_000)
