import {
  checkTables,
  codedError,
  type Epoch,
  ensureEpochTable,
  ensurePublication,
  makesSameKeys,
  newestEpoch,
  type OpenEpoch,
  recordEpoch,
  recordStart,
  recreateSlot,
  type ServerFacts,
  withdrawEpoch,
} from '@tidemark/postgres'
import { formatLsn, type Lsn, type Source, TidemarkError } from '@tidemark/protocol'
import { cancellableSleep, type Logger, outageLevel, withDeadline } from '@tidemark/service'
import type { EpochCause } from '@tidemark/telemetry'
import type { Client } from 'pg'
import type { Bus } from './bus.ts'
import { type Continuity, continuityOf, isAbandoned, type StartFacts } from './continuity.ts'
import { whileServerWorks } from './server-work.ts'
import { takePulse } from './snapshot.ts'
import { endTurn, type Turn } from './turn.ts'

export interface OpeningOptions {
  readonly client: Client
  /** Where the client is connected to. */
  readonly postgresUrl: string
  readonly source: Source
  readonly bus: Pick<Bus, 'lastPublished' | 'take' | 'claim'>
  readonly turn: Turn
  readonly signal: AbortSignal
  readonly log: Logger
  readonly undecodableFrom: Lsn | undefined
  readonly busLostRecords: boolean
  /** A new epoch was recorded, and covers whatever is missing; nothing was sent in it yet. */
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
const ANSWER_TIMEOUT_MS = 5_000

/**
 * Checks everything that the stream rests on, decides whether it continues its epoch or opens a new one, and takes the
 * topic. One publisher at a time: two that both re-create a lost slot would each take the other's gap for continuity.
 * Where two servers each have one, on both sides of a failover, it is the claim that decides: of two that claim one
 * number in every partition, at least one finds the other's claim before its own.
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
  const { client, turn, bus } = options
  const inspected = withDeadline(inspect(options), INSPECTION_TIMEOUT_MS, 'no answer from Postgres about the source')
  const seen: StartFacts = { ...(await inspected), published: await bus.lastPublished(), shutsOutEarlier: true }
  if (isAbandoned(seen)) throw abandoned(seen, options.source)
  const facts = { ...seen, shutsOutEarlier: await bus.take() }
  const continuity = continuityOf(facts)
  const opened =
    continuity.kind === 'continue' ? await resume(continuity, facts, options) : await begin(continuity, facts, options)
  // Nothing is confirmed before an epoch is announced: a slot that has moved proves that the wait was done.
  if (opened.from <= opened.epoch.start) await waitForRunning(options, turn.server)
  // After a failure the connection is closed, and the lock with it.
  await withDeadline(endTurn(client), ANSWER_TIMEOUT_MS, 'no answer from the primary')
  options.log.info(
    { epoch: opened.epoch.number, from: formatLsn(opened.from), timeline: turn.server.timeline },
    opened.isNewEpoch ? 'a new epoch is open' : 'the epoch continues',
  )
  return opened
}

/** What Postgres says. */
async function inspect({ client, source, turn, undecodableFrom, busLostRecords }: OpeningOptions) {
  const { systemIdentifier, timeline, insertLsn } = turn.server
  await checkTables(client, source)
  await ensureEpochTable(client)
  await ensurePublication(client, source)
  // Once more: the publication that they are in, perhaps made just now, is a part of what is found.
  const found = await checkTables(client, source)
  const newest = await newestEpoch(client, source.name)
  // What happened to the rows alone is said in the stream, at the first look: a TRUNCATE does not cost the epoch.
  const shape = newest?.shape && makesSameKeys(newest.shape, found) ? newest.shape : found
  const server = { slot: turn.slot, slotName: source.slot, systemIdentifier, timeline, insertLsn }
  return { ...server, newest, shape, undecodableFrom, busLostRecords }
}

function abandoned({ newest, published }: StartFacts, source: Source): TidemarkError {
  const found = `topic ${source.topic} holds epoch ${published.highestEpoch}, this server knows ${newest?.number}`
  return new TidemarkError('SOURCE_ABANDONED', `another server has taken over the source: ${found}`, {
    mend: `If this server is the right one, run: DELETE FROM tidemark.epoch WHERE source = '${source.name}'`,
  })
}

/** Goes on in the epoch, if that is still right once nobody else can write: what was seen before may have grown. */
async function resume(
  { epoch, from }: Extract<Continuity, { kind: 'continue' }>,
  facts: StartFacts,
  { bus, turn }: OpeningOptions,
): Promise<OpenedSource> {
  const published = await bus.lastPublished(await bus.claim(epoch.number))
  if (published.highestEpoch > epoch.number) throw overtaken(published.highestEpoch)
  const final = continuityOf({ ...facts, published })
  if (final.kind === 'new-epoch') throw new TidemarkError('BUS_LOST_RECORDS', final.reason)
  return { epoch, from, server: turn.server, isNewEpoch: false }
}

/** Opens a new epoch: its number is recorded, then claimed; only when the claim shows it to be ours does it start. */
async function begin(
  continuity: Extract<Continuity, { kind: 'new-epoch' }>,
  facts: StartFacts,
  options: OpeningOptions,
): Promise<OpenedSource> {
  const { bus, turn, client, source } = options
  const epoch = await record(continuity, facts, options)
  options.onNewEpoch(continuity.cause)
  const { highestEpoch } = await bus.lastPublished(await bus.claim(epoch.number))
  if (highestEpoch >= epoch.number) {
    const withdrawn = withdrawEpoch(client, source.name, epoch.number)
    await whileServerWorks(withdrawn, options, 'the epoch that was withdrawn waits to be committed')
    throw overtaken(highestEpoch)
  }
  const start = continuity.from ?? (await makeSlot(options))
  await setStart(epoch, start, options)
  return { epoch: { ...epoch, start }, from: start, server: turn.server, isNewEpoch: true }
}

function overtaken(epoch: number): TidemarkError {
  return new TidemarkError('PUBLISHER_FENCED', `another publisher has claimed epoch ${epoch} meanwhile`)
}

/** No number that is recorded or that Kafka has seen is given twice, even if its opening was cut off. */
async function record(
  { cause, reason }: Extract<Continuity, { kind: 'new-epoch' }>,
  { newest, published, systemIdentifier, timeline, shape }: StartFacts,
  options: OpeningOptions,
): Promise<Epoch> {
  const { client, source, log } = options
  const number = Math.max(newest?.number ?? 0, published.highestEpoch) + 1
  const epoch = { number, systemIdentifier, timeline, start: null, slot: source.slot, shape }
  log.warn({ epoch: number, cause, reason }, 'the stream cannot be shown to continue: a new epoch')
  const recorded = recordEpoch(client, source.name, epoch)
  await whileServerWorks(recorded, options, 'the epoch’s row waits to be committed, perhaps for a synchronous standby')
  return epoch
}

async function makeSlot(options: OpeningOptions): Promise<Lsn> {
  const made = recreateSlot(options.client, options.source, options.turn.server.version)
  return whileServerWorks(made, options, 'the slot waits for the transactions that were running')
}

async function setStart({ number }: Epoch, start: Lsn, options: OpeningOptions): Promise<void> {
  const recorded = recordStart(options.client, options.source.name, number, start)
  await whileServerWorks(
    recorded,
    options,
    'the epoch’s start waits to be committed, perhaps for a synchronous standby',
  )
}

const POLL_MS = 50

/**
 * Waits until every transaction that was running has ended (I5 for a start position): a commit before the start
 * may still be waiting for a synchronous standby, and is not delivered any more. Bounded by `signal` alone: going
 * on earlier would let a fill claim a commit that it cannot see.
 */
async function waitForRunning({ client, signal, log }: OpeningOptions, server: ServerFacts): Promise<void> {
  const snapshot = async () => {
    const pulse = takePulse(client, server.segmentBytes)
    return (await withDeadline(pulse, ANSWER_TIMEOUT_MS, 'no answer from the primary')).snapshot
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
