import { setTimeout as sleep } from 'node:timers/promises'
import { floorOf } from '@tidemark/guard'
import { waitUntil } from '@tidemark/local'
import { epochOf, type Position } from '@tidemark/protocol'
import { type CommitHistory, historyOf, type TimedCommit } from '../evidence/commit-history.ts'
import { LogRecorder } from '../evidence/log-recorder.ts'
import { SteadyWriters, type WritersReport } from '../outage/steady-writers.ts'
import { randomOf } from '../seeded-random.ts'
import { type PartitionSample, PartitionSamples, samplePartition } from './partition-samples.ts'
import { Region, type Scenario, type Span } from './region.ts'
import { RegionContext } from './region-context.ts'
import { type NotedReading, type Refusal, RegionReaders, type SessionStep } from './region-readers.ts'
import { IDS, KEYSPACES, type RegionSource } from './region-source.ts'
import { type WorkerLine, type WorkerSample, WorkerWatch, workerLines } from './worker-watch.ts'

export interface RunOptions {
  readonly seed: number
  readonly commitsPerSecond: number
  readonly faultMs: number
  /** How long everything works before, and again after. */
  readonly aroundMs: number
}

/** All that is known after a scenario. Times are the wall clock's, in milliseconds. */
export interface RegionEvidence {
  readonly source: RegionSource
  readonly history: CommitHistory<TimedCommit>
  readonly readings: readonly NotedReading[]
  readonly refusals: readonly Refusal[]
  readonly sessions: readonly (readonly SessionStep[])[]
  readonly samples: readonly PartitionSample[]
  readonly workerSamples: readonly WorkerSample[]
  readonly workerLines: readonly WorkerLine[]
  readonly losses: readonly Span[]
  readonly writers: WritersReport
  /** Keys that Redis would serve as fresh at the end and that are not what their row holds, in words. */
  readonly staleCells: readonly string[]
  /** And how many there were that are. */
  readonly freshCells: number
  /** The fault, from its beginning to its end. */
  readonly fault: Span
  /** Where the log ended when the fault did. */
  readonly end: Position
  /** When every partition's watermark had passed that. */
  readonly passedMs: number
}

const BEAT_MS = 100
const RECOVERY_TIMEOUT_MS = 120_000
/** Where rows are written all the time hardly a value outlives the writers: these are what remains. */
const READINGS_IN_QUIET = 200

/** A fault under load, from a quiet start to the moment at which all that was committed has been applied. */
export async function runScenario(scenario: Scenario, options: RunOptions): Promise<RegionEvidence> {
  await using context = await RegionContext.open(scenario.servers)
  const { pipeline, source } = context
  const { primary, replica } = pipeline
  const recorder = await LogRecorder.start(primary, `${pipeline.name}_history`, ['hot'])
  await primary.query('insert into hot select unnest($1::int[]), 0', [IDS])
  const publisher = await context.startProcess('publisher', {
    ...scenario.publisherEnv,
    TIDEMARK_BEAT_MS: String(BEAT_MS),
  })
  const region = new Region(context, publisher, scenario.workerEnv)
  for (let i = 0; i < scenario.workers; i++) await region.startWorker()
  await waitUntil('there is an epoch', async () => epochOf(await pipeline.here()) > 0, {
    timeoutMs: RECOVERY_TIMEOUT_MS,
  })
  await context.passed(await pipeline.here(), RECOVERY_TIMEOUT_MS)
  await allReady(region)
  const apps = [
    await context.openApp('on the replica', [{ name: 'replica', pool: replica }]),
    await context.openApp('on the primary', []),
  ]
  await using samples = new PartitionSamples(context)
  await using watch = await WorkerWatch.start(region)
  await using writers = new SteadyWriters(options.commitsPerSecond, () => {
    return primary.query('update hot set n = n + 1 where id = $1', [IDS[Math.floor(Math.random() * IDS.length)]])
  })
  await using readers = new RegionReaders(apps)
  await sleep(options.aroundMs)

  const fromMs = Date.now()
  await scenario.fault(region, { ms: options.faultMs, random: randomOf(options.seed) })
  const fault = { fromMs, untilMs: Date.now() }
  const end = await pipeline.here()
  const recoveryTimeoutMs = RECOVERY_TIMEOUT_MS + options.faultMs
  await context.passed(end, recoveryTimeoutMs)
  const passedMs = Date.now()
  await provedAgain(readers, end, recoveryTimeoutMs)
  await sleep(options.aroundMs)

  const written = await writers.stop()
  await context.passed(await pipeline.here(), recoveryTimeoutMs)
  await readers.goOn(READINGS_IN_QUIET)
  await readers.stop()
  await context.passed(await pipeline.here(), recoveryTimeoutMs)
  await samples.stop()
  await watch.stop()
  return {
    ...{ source, fault, end, passedMs, writers: written, losses: region.losses },
    ...{ readings: readers.readings, refusals: readers.refusals, sessions: readers.sessions },
    ...{ samples: samples.samples, workerSamples: watch.samples, workerLines: await workerLines(region) },
    ...(await whatRemains(context)),
    history: await historyOf(recorder.finish(), epochOf(end)),
  }
}

/** Waits until every worker has partitions and beats: a group that is still forming has nobody to lose. */
async function allReady({ workers }: Region): Promise<void> {
  const areReady = async () => {
    const answers = await Promise.all(workers.map(({ telemetryUrl }) => fetch(`${telemetryUrl}/readyz`)))
    return answers.every(({ ok }) => ok)
  }
  await waitUntil('every worker is ready', areReady, { timeoutMs: RECOVERY_TIMEOUT_MS, everyMs: 100 })
}

/** Waits until a value of each keyspace was served as fresh that includes all that was committed when the fault ended. */
async function provedAgain(readers: RegionReaders, end: Position, timeoutMs: number): Promise<void> {
  const missing = new Set(KEYSPACES)
  let seen = 0
  const isProved = () => {
    for (const reading of readers.readings.slice(seen)) if (isPast(reading, end)) missing.delete(reading.keyspace)
    seen = readers.readings.length
    return missing.size === 0
  }
  await waitUntil('each keyspace is fresh again', isProved, { timeoutMs })
}

/** Whether it was served as fresh, and as current beyond that position. */
export function isPast({ freshness, position }: NotedReading, end: Position): boolean {
  return freshness === 'fresh' && position !== null && position >= end
}

/** Every cell that Redis would serve as fresh now, held against the rows: nobody writes any more. */
async function whatRemains(context: RegionContext): Promise<Pick<RegionEvidence, 'staleCells' | 'freshCells'>> {
  const { rows } = await context.pipeline.primary.query<{ id: number; n: string }>('select id, n from hot')
  const truth = new Map(rows.map(({ id, n }) => [id, Number(n)]))
  const staleCells: string[] = []
  let freshCells = 0
  for (const [partition, keys] of context.keysByPartition()) {
    const { view, keys: sampled } = await samplePartition(context, partition, keys)
    for (const { key, cell } of sampled) {
      if (view === null || view.gap !== undefined || cell?.state !== 'live') continue
      if (cell.label.low < floorOf(view, key.keyspace)) continue
      if (cell.n === truth.get(key.id)) freshCells++
      else staleCells.push(`${key.key}: ${cell.n} at ${cell.label.low} instead of ${truth.get(key.id)}`)
    }
  }
  return { staleCells, freshCells }
}
