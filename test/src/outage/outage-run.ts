import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@tidemark/local'
import { type Lsn, parseLsn } from '@tidemark/protocol'
import { type CommitHistory, historyOf } from '../evidence/commit-history.ts'
import { LogRecorder } from '../evidence/log-recorder.ts'
import { readTopic, type TopicRecord } from '../evidence/topic-reader.ts'
import { PipelineContext } from '../pipeline/pipeline-context.ts'
import { ServiceProcess } from '../pipeline/service-process.ts'
import { OUTAGES, type Outage, type OutageName } from './outage-scenarios.ts'
import type { OutageStage } from './outage-stage.ts'
import { OutageWatch, type Sample } from './outage-watch.ts'
import { SteadyWriters, type WritersReport } from './steady-writers.ts'

export interface OutageOptions {
  readonly outageMs: number
  /** How long everything works before, and again after. */
  readonly aroundMs: number
  readonly maxBufferBytes: number
}

/** All that is known after an outage. Times are the wall clock's, in milliseconds. */
export interface OutageEvidence {
  readonly name: OutageName
  readonly options: OutageOptions
  readonly partitions: number
  readonly writers: WritersReport
  readonly history: CommitHistory
  readonly records: readonly TopicRecord[]
  readonly epochs: readonly { readonly number: number; readonly start: Lsn }[]
  /** How often the publisher opened the stream again, and why it opened a new epoch each time that it did. */
  readonly restarts: number
  readonly reasons: readonly string[]
  readonly samples: readonly Sample[]
  readonly idleUntilMs: number
  readonly beganMs: number
  readonly endedMs: number
  /** Where the log ended when the outage did. */
  readonly end: Lsn
}

/** What the pipeline is to bear all the time. */
export const COMMITS_PER_SECOND = 500
const IDLE_MS = 1_500
const START_TIMEOUT_MS = 30_000
const SEGMENT_BYTES = 16 * 1024 * 1024

/** An outage under load, from a quiet start to the moment at which everything that was committed is confirmed. */
export async function runOutage(stage: OutageStage, name: OutageName, options: OutageOptions): Promise<OutageEvidence> {
  const outage: Outage = OUTAGES[name]
  const servers = { primaryUrl: stage.postgres.url(), brokers: [stage.kafka.brokers] }
  await using context = await PipelineContext.open({ servers })
  const { primary, source } = context
  const recorder = await LogRecorder.start(primary, `${context.name}_history`, ['hot'])
  await using publisher = await ServiceProcess.start('publisher', context, environment(stage, context, outage, options))
  // Before anything else is disposed of: what was taken away is needed for it.
  await using _ = { [Symbol.asyncDispose]: () => stage.restore() }
  await confirmed(context, await endOfLog(context), START_TIMEOUT_MS)
  await using watch = new OutageWatch(publisher.pid, primary, source.slot)
  await sleep(IDLE_MS)
  const idleUntilMs = Date.now()
  await using writers = await SteadyWriters.start(primary, COMMITS_PER_SECOND)
  await sleep(options.aroundMs)
  const beganMs = Date.now()
  await outage.begin(stage)
  await sleep(options.outageMs)
  await outage.end(stage)
  const endedMs = Date.now()
  const end = await endOfLog(context)
  const recoveryTimeoutMs = START_TIMEOUT_MS + options.outageMs
  await confirmed(context, end, recoveryTimeoutMs)
  await sleep(options.aroundMs)
  const written = await writers.stop()
  await confirmed(context, await endOfLog(context), recoveryTimeoutMs)
  await logIsLetGo(watch)
  return {
    ...{ name, options, partitions: source.partitions, writers: written, idleUntilMs, beganMs, endedMs, end },
    samples: watch.samples,
    ...(await told(publisher)),
    epochs: await epochsOf(context),
    history: await historyOf(recorder.finish(), 1),
    records: await readTopic(servers.brokers, source.topic),
  }
}

function environment(
  stage: OutageStage,
  { servers }: PipelineContext,
  { through }: Outage,
  { maxBufferBytes }: OutageOptions,
): NodeJS.ProcessEnv {
  const url = new URL(servers.primaryUrl)
  if (through === 'postgres') url.port = String(stage.postgresNetwork.port)
  return {
    TIDEMARK_MAX_BUFFER_BYTES: String(maxBufferBytes),
    TIDEMARK_PRIMARY_URL: url.href,
    NODE_OPTIONS: heapOptions(maxBufferBytes),
    ...(through === 'kafka' && { TIDEMARK_KAFKA_BROKERS: `127.0.0.1:${stage.kafkaNetwork.port}` }),
  }
}

const MB = 1024 * 1024
const YOUNG_MB = 24
const OLD_MB = 64

/**
 * The most that JavaScript's heap may take beyond what an idle process has: the young generation, which is collected
 * when it is full, and the old one, in which what waits for Kafka costs a few times its own bytes.
 */
export function heapBytes(maxBufferBytes: number): number {
  return (YOUNG_MB + OLD_MB) * MB + 4 * maxBufferBytes
}

/** A process that needs more than this ends. */
function heapOptions(maxBufferBytes: number): string {
  const oldMb = Math.ceil(heapBytes(maxBufferBytes) / MB) - YOUNG_MB
  return `--max-semi-space-size=${YOUNG_MB / 3} --max-old-space-size=${oldMb}`
}

async function endOfLog({ primary }: PipelineContext): Promise<Lsn> {
  const { rows } = await primary.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
  return parseLsn(rows[0]!.lsn)
}

/** Waits until Kafka has everything before this, as the publisher tells Postgres. */
async function confirmed({ primary, source }: PipelineContext, lsn: Lsn, timeoutMs: number): Promise<void> {
  const query = 'select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1'
  const isConfirmed = async () => {
    const { rows } = await primary.query<{ lsn: string }>(query, [source.slot])
    return rows[0] !== undefined && parseLsn(rows[0].lsn) >= lsn
  }
  await waitUntil('everything is published', isConfirmed, { timeoutMs, everyMs: 50 })
}

/** Of an outage that kept more than a segment of the log: the server notices every 15 seconds what it may let go. */
async function logIsLetGo(watch: OutageWatch): Promise<void> {
  const isLetGo = () => (watch.samples.at(-1)?.retainedBytes ?? Number.POSITIVE_INFINITY) <= SEGMENT_BYTES
  await waitUntil('the log is let go', isLetGo, { timeoutMs: 60_000, everyMs: 500 })
}

async function told({ logFile }: ServiceProcess): Promise<Pick<OutageEvidence, 'restarts' | 'reasons'>> {
  const lines = (await readFile(logFile, 'utf8')).split('\n').filter((line) => line.startsWith('{'))
  const logged = lines.map((line) => JSON.parse(line) as { msg: string; reason?: string })
  return {
    restarts: logged.filter(({ msg }) => msg === 'opening the stream again').length,
    reasons: logged.flatMap(({ reason }) => reason ?? []),
  }
}

async function epochsOf({ primary, source }: PipelineContext): Promise<OutageEvidence['epochs']> {
  const query = 'select epoch, start_lsn::text as start from tidemark.epoch where source = $1 order by epoch'
  const { rows } = await primary.query<{ epoch: number; start: string }>(query, [source.name])
  return rows.map(({ epoch, start }) => ({ number: epoch, start: parseLsn(start) }))
}
