import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { expectSurvived } from './outage-expectations.ts'
import { reportOf, tableOf } from './outage-report.ts'
import { type OutageOptions, runOutage } from './outage-run.ts'
import type { OutageName } from './outage-scenarios.ts'
import { OutageStage } from './outage-stage.ts'

// Some seconds of what `outages.long.test.ts` does for minutes.

const BRIEF: OutageOptions = { outageMs: 6_000, aroundMs: 2_000, maxBufferBytes: 256 * 1024 }
const NAMES: readonly OutageName[] = ['Kafka stopped', 'Postgres stopped, immediate', 'Postgres link silent, then cut']

let stage: OutageStage

beforeAll(async () => {
  stage = await OutageStage.open()
}, 120_000)

afterAll(() => stage?.[Symbol.asyncDispose]())

test.each(NAMES)(
  'I4: %s, under load: nothing is lost, and memory stays bounded',
  async (name) => {
    const report = reportOf(await runOutage(stage, name, BRIEF))
    console.info(tableOf(new Map([[name, report]])))
    expect(report.outageSeconds).toBeGreaterThanOrEqual(BRIEF.outageMs / 1000)
    expectSurvived(name, report, BRIEF)
  },
  240_000,
)
