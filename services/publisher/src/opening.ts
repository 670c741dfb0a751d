import {
  checkTables,
  codedError,
  type Epoch,
  endBackend,
  ensureEpochTable,
  ensurePublication,
  lockOpening,
  newestEpoch,
  type OpenEpoch,
  readServerFacts,
  readSlot,
  recordEpoch,
  recordStart,
  recreateSlot,
  type ServerFacts,
  unlockOpening,
} from '@tidemark/postgres'
import { formatLsn, type Lsn, type Source, TidemarkError } from '@tidemark/protocol'
import { cancellableSleep, type Logger, outageLevel, withDeadline } from '@tidemark/service'
import type { EpochCause } from '@tidemark/telemetry'
import type { Client } from 'pg'
import { type Continuity, continuityOf } from './continuity.ts'
import type { LastPublished } from './last-published.ts'
import { takePulse } from './snapshot.ts'

export interface OpeningOptions {
  readonly client: Client
  readonly source: Source
  readonly signal: AbortSignal
  readonly log: Logger
  readonly confirmedByUs: Lsn | undefined
  readonly busLostRecords: boolean
  /** Asked once it is certain that no other publisher streams; undefined when we know. */
  readonly lastPublished: (() => Promise<LastPublished>) | undefined
  /** The server's process of our last stream, if there was one. */
  readonly previousBackend: number | undefined
  /** A new epoch was recorded: its number is taken. */
  readonly onNewEpoch: (cause: EpochCause) => void
}

export interface OpenedSource {
  readonly epoch: OpenEpoch
  /** Where the stream resumes: the slot's confirmed position. */
  readonly from: Lsn
  readonly server: ServerFacts
  readonly isNewEpoch: boolean
}

const INSPECTION_TIMEOUT_MS = 30_000

/**
 * Checks everything that the stream rests on, and decides whether it continues its epoch or opens a new one. One
 * publisher at a time: two that both re-create a lost slot would each take the other's gap for continuity.
 */
export async function openSource(options: OpeningOptions): Promise<OpenedSource> {
  try {
    return await openAlone(options)
  } catch (error) {
    options.signal.throwIfAborted()
    throw codedError(error, 'the source cannot be opened')
  }
}

async function openAlone(options: OpeningOptions): Promise<OpenedSource> {
  const { client } = options
  const { server, known, continuity } = await withDeadline(
    inspect(options),
    INSPECTION_TIMEOUT_MS,
    'no answer from Postgres about the source',
  )
  const opened = await follow(continuity, options, server, known)
  // Nothing is confirmed before an epoch is announced: a slot that has moved proves that the wait was done.
  if (opened.from <= opened.epoch.start) await waitForRunning(options, server)
  // After a failure the connection is closed, and the lock with it.
  await unlockOpening(client)
  options.log.info(
    { epoch: opened.epoch.number, from: formatLsn(opened.from), timeline: server.timeline },
    opened.isNewEpoch ? 'a new epoch is open' : 'the epoch continues',
  )
  return opened
}

/** What needs the server's answers alone; what may have to wait for others comes after it. */
async function inspect(options: OpeningOptions) {
  const { client, source, confirmedByUs, busLostRecords } = options
  const server = await readServerFacts(client)
  await lockOpening(client, source)
  const shape = await checkTables(client, source)
  await ensureEpochTable(client)
  await ensurePublication(client, source)
  const slot = await readSlot(client, source)
  await refuseActive(options, slot?.activePid ?? null)
  const published = await options.lastPublished?.()
  const { systemIdentifier, timeline, insertLsn } = server
  const newest = await newestEpoch(client, source.name)
  const facts = { newest, slot, slotName: source.slot, systemIdentifier, timeline, insertLsn, shape }
  const continuity = continuityOf({ ...facts, published, confirmedByUs, busLostRecords })
  return { server, known: { shape, highestEpoch: published?.highestEpoch ?? 0 }, continuity }
}

async function refuseActive(options: OpeningOptions, activePid: number | null): Promise<void> {
  if (activePid === null) return
  if (activePid === options.previousBackend) await endBackend(options.client, options.source, activePid)
  throw new TidemarkError('SLOT_ACTIVE', `process ${activePid} of the server streams from slot ${options.source.slot}`)
}

interface Known {
  readonly shape: string
  /** No number that Kafka has seen is given twice, even if the database has forgotten it. */
  readonly highestEpoch: number
}

async function follow(
  continuity: Continuity,
  options: OpeningOptions,
  server: ServerFacts,
  known: Known,
): Promise<OpenedSource> {
  if (continuity.kind === 'continue') return { ...continuity, server, isNewEpoch: false }
  const epoch = continuity.kind === 'unfinished' ? continuity.epoch : await record(continuity, options, server, known)
  const start = epoch.start ?? (await makeSlot(epoch, options, server))
  return { epoch: { ...epoch, start }, from: start, server, isNewEpoch: true }
}

async function record(
  { cause, reason, from }: Extract<Continuity, { kind: 'new-epoch' }>,
  { client, source, log, onNewEpoch }: OpeningOptions,
  { systemIdentifier, timeline }: ServerFacts,
  { shape, highestEpoch }: Known,
): Promise<Epoch> {
  const newest = await newestEpoch(client, source.name)
  const number = Math.max(newest?.number ?? 0, highestEpoch) + 1
  const epoch = { number, systemIdentifier, timeline, start: from, slot: source.slot, shape }
  log.warn({ epoch: number, cause, reason }, 'the stream cannot be shown to continue: a new epoch')
  const recorded = recordEpoch(client, source.name, epoch)
  await reportWhile(recorded, log, 'the epoch’s row waits to be committed, perhaps for a synchronous standby')
  onNewEpoch(cause)
  return epoch
}

async function makeSlot(epoch: Epoch, { client, source, log }: OpeningOptions, server: ServerFacts): Promise<Lsn> {
  const made = recreateSlot(client, source, server.version)
  const start = await reportWhile(made, log, 'the slot waits for the transactions that were running')
  const recorded = recordStart(client, source.name, epoch.number, start)
  await reportWhile(recorded, log, 'the epoch’s start waits to be committed, perhaps for a synchronous standby')
  return start
}

const REPORT_MS = 5_000

/** Says what is being waited for, for as long as it takes: only the server can end these waits. */
async function reportWhile<T>(promise: Promise<T>, log: Logger, what: string): Promise<T> {
  const sinceMs = performance.now()
  const timer = setInterval(() => {
    const waitedMs = performance.now() - sinceMs
    log[outageLevel(waitedMs)]({ waitedMs }, what)
  }, REPORT_MS)
  try {
    return await promise
  } finally {
    clearInterval(timer)
  }
}

const POLL_MS = 50
const SNAPSHOT_TIMEOUT_MS = 5_000

/**
 * Waits until every transaction that was running has ended (I5 for a start position): a commit before the start
 * may still be waiting for a synchronous standby, and is not delivered any more. Bounded by `signal` alone: going
 * on earlier would let a fill claim a commit that it cannot see.
 */
async function waitForRunning({ client, signal, log }: OpeningOptions, server: ServerFacts): Promise<void> {
  const snapshot = async () => {
    const pulse = takePulse(client, server.segmentBytes)
    return (await withDeadline(pulse, SNAPSHOT_TIMEOUT_MS, 'no answer from the primary')).snapshot
  }
  const { xmax } = await snapshot()
  const sinceMs = performance.now()
  let reportAtMs = 1_000
  for (;;) {
    const { xmin } = await snapshot()
    if (xmin >= xmax) return
    const waitedMs = performance.now() - sinceMs
    if (waitedMs >= reportAtMs) {
      log[outageLevel(waitedMs)]({ xid: xmin.toString(), waitedMs }, 'the epoch waits for a running transaction')
      reportAtMs *= 2
    }
    await cancellableSleep(POLL_MS, signal)
  }
}
