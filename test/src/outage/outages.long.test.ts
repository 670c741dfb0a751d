import { afterAll, beforeAll, test } from '@jest/globals'
import { expectSurvived } from './outage-expectations.ts'
import { reportOf, tableOf } from './outage-report.ts'
import { runOutage } from './outage-run.ts'
import type { OutageName } from './outage-scenarios.ts'
import { OutageStage } from './outage-stage.ts'

/** How long each lasts, in seconds; TIDEMARK_OUTAGE_S says another length for all. */
const SECONDS: Readonly<Record<OutageName, number>> = {
  'Kafka stopped': 300,
  'Kafka killed': 60,
  'Kafka frozen': 120,
  'Postgres stopped, fast': 10,
  'Postgres stopped, immediate': 10,
  'Postgres killed': 10,
  'Postgres link silent, then cut': 120,
  'Postgres link silent from the server, then cut': 60,
  'Postgres connections forgotten by a firewall': 0,
  'Kafka link silent, then cut': 60,
  'Kafka connections forgotten by a firewall': 0,
  'Kafka link narrow': 60,
}

const AROUND_MS = 10_000
/** The default of TIDEMARK_MAX_BUFFER_BYTES. */
const MAX_BUFFER_BYTES = 16 * 1024 * 1024

let stage: OutageStage

beforeAll(async () => {
  stage = await OutageStage.open()
}, 120_000)

afterAll(() => stage?.[Symbol.asyncDispose]())

test.each(Object.keys(SECONDS) as OutageName[])(
  'I4: %s, under load: nothing is lost, and memory stays bounded',
  async (name) => {
    const outageMs = Number(process.env.TIDEMARK_OUTAGE_S ?? SECONDS[name]) * 1000
    const options = { outageMs, aroundMs: AROUND_MS, maxBufferBytes: MAX_BUFFER_BYTES }
    const report = reportOf(await runOutage(stage, name, options))
    // At once, for whoever waits: reporters tell only of the whole.
    process.stderr.write(`${tableOf(new Map([[name, report]]))}\n`)
    expectSurvived(name, report, options)
  },
)
