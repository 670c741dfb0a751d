import { AssertionError } from 'node:assert'
import type { KafkaConnection } from '@tidemark/kafka'
import {
  announceChangedTables,
  checkPublication,
  checkStreamedSlot,
  connect,
  disconnect,
  readLayouts,
  type SlotHealth,
} from '@tidemark/postgres'
import { allKeyspaces, isTidemarkError, type Lsn, type Source, type TidemarkError } from '@tidemark/protocol'
import { type Logger, outageLevel, type RetryOptions, retrying, withDeadline } from '@tidemark/service'
import { type Health, type PublisherReadings, publisherMetrics } from '@tidemark/telemetry'
import type { Client } from 'pg'
import { Acker } from './acker.ts'
import { Bus } from './bus.ts'
import { CLIENT } from './client-name.ts'
import { DecodingFailures } from './decoding-failures.ts'
import { HeldBack } from './held-back.ts'
import { Inbox } from './inbox.ts'
import { OffsetWatch } from './offset-watch.ts'
import { type OpenedSource, openSource } from './opening.ts'
import { Pipeline, type PipelineLimits } from './pipeline.ts'
import { watchSlot } from './slot-watch.ts'
import { ReplicationStream } from './stream.ts'
import { TransactionAssembler } from './transaction-assembler.ts'
import { type Turn, waitForTurn } from './turn.ts'
import { WatermarkTime } from './watermark-time.ts'

export interface PublisherOptions extends Partial<PublisherLimits>, KafkaConnection {
  readonly source: Source
  /** The primary. The role needs REPLICATION, and the right to create the publication and the epoch table once. */
  readonly postgresUrl: string
  readonly signal: AbortSignal
  readonly log: Logger
  readonly health?: Health
}

export interface PublisherLimits extends PipelineLimits {
  readonly replicationFactor: number
  readonly sendDeadlineMs: number
  /** How long Postgres may say nothing. */
  readonly silenceMs: number
  /** What may wait in memory before reading stops. */
  readonly maxBufferBytes: number
  readonly minRetryMs: number
  readonly maxRetryMs: number
  /** After so long the source is opened anew, though nothing is wrong. */
  readonly maxLifeMs: number
}

const DEFAULT_LIMITS: PublisherLimits = {
  beatMs: 200,
  pulseDeadlineMs: 5_000,
  maxBatchKeys: 2_000,
  maxRecords: 4_000,
  maxPartitionBytes: 512 * 1024,
  replicationFactor: 1,
  sendDeadlineMs: 10_000,
  silenceMs: 15_000,
  maxBufferBytes: 16 * 1024 * 1024,
  minRetryMs: 100,
  maxRetryMs: 2_000,
  // Kafka forgets a transactional id that was not initialised for long (seven days, unless told otherwise), and with it
  // whom it has to shut out.
  maxLifeMs: 24 * 60 * 60 * 1000,
}

/**
 * Publishes a source until `signal` is aborted. There is one way to recover from whatever goes wrong: everything is
 * closed and opened again from the slot's confirmed position, with back-off. What was in flight is published twice.
 *
 * Throws the signal's reason, or a coded error that trying again cannot mend.
 */
export async function runPublisher(options: PublisherOptions): Promise<never> {
  const publisher = new Publisher(options)
  const { source, postgresUrl: url, signal, log } = options
  const { minRetryMs, maxRetryMs } = limitsOf(options)
  const ended = new AbortController()
  const watching = AbortSignal.any([signal, ended.signal])
  const onHealth = (health: SlotHealth | undefined) => publisher.slotIs(health)
  const watch = watchSlot({ url, source, signal: watching, log, onHealth })
  await using parts = new AsyncDisposableStack()
  parts.defer(() => watch)
  parts.defer(() => ended.abort())
  const retry: RetryOptions = {
    signal,
    minDelayMs: minRetryMs,
    maxDelayMs: maxRetryMs,
    onRetry: ({ error, failures, delayMs, outageMs }) => {
      // A broken rule of our own is no outage: nothing says that the next life would keep it.
      if (error instanceof AssertionError) throw error
      publisher.restarted(error)
      const level = isTidemarkError(error, 'SOURCE_ABANDONED') ? 'error' : outageLevel(outageMs)
      log[level]({ err: error, failures, delayMs, outageMs }, 'opening the stream again')
    },
  }
  for (;;) await retrying((healthy) => publisher.live(healthy), retry)
}

/** Ends a life that has lasted long enough. */
const RENEWAL = new Error('the source is opened anew, as every so often')

/** What outlives one life of the pipeline: what was seen of relations and offsets, and what was confirmed. */
class Publisher {
  readonly #options: PublisherOptions
  readonly limits: PublisherLimits
  readonly #offsets = new OffsetWatch()
  readonly heldBack: HeldBack
  readonly #assembler: TransactionAssembler
  readonly metrics
  #inbox: Inbox | undefined
  #epoch: number | undefined
  #from: Lsn | undefined
  #slot: SlotHealth | undefined
  #backend: number | undefined
  readonly #decodingFailures = new DecodingFailures()
  #busLostRecords = false
  #standsBy = false
  #notReady: string | undefined = 'not streaming yet'
  #beatAtMs: number | undefined

  constructor(options: PublisherOptions) {
    const { source, log, health } = options
    this.#options = options
    this.limits = limitsOf(options)
    this.heldBack = new HeldBack(log)
    this.metrics = publisherMetrics({ keyspaces: allKeyspaces(source).map((k) => k.name), read: () => this.#read() })
    this.#assembler = new TransactionAssembler(source, {
      onUnknown: (tag) => {
        this.metrics.unknownMessage()
        log.debug({ tag: String.fromCharCode(tag) }, 'a replication message of an unknown kind was skipped')
      },
      onFloor: (keyspace, cause) => this.metrics.floor(keyspace.name, cause),
      onShapeChanged: ({ table, keyspaces }) => {
        const lacking = keyspaces.flatMap((k) => k.lacking)
        log.warn({ table, lacking }, 'the shape of a table changed: its keyspaces are refilled')
      },
      onProjectionLacking: ({ table, keyspaces }) => {
        const lacking = keyspaces.flatMap((k) => k.unprojected)
        log.warn({ table, lacking }, 'columns of a projection are not in the stream: every change invalidates')
      },
      onInvalidationMessage: (outcome, reason) => {
        this.metrics.invalidationMessage(outcome)
        if (reason === undefined) return
        const whole = 'an invalidation message was not understood: every keyspace is refilled'
        log.error({ reason }, outcome === 'floor' ? whole : 'an invalidation message was refused')
      },
    })
    health?.watch('streaming', () => this.#notReady)
    health?.watch('beat', () => this.#beatIsOld())
  }

  slotIs(health: SlotHealth | undefined): void {
    this.#slot = health
  }

  restarted(error: unknown): void {
    this.#notReady = 'opening the stream again'
    this.heldBack.passed()
    this.metrics.restarted(isTidemarkError(error) ? error.code : 'other')
    if (this.#from !== undefined) this.#decodingFailures.ended(error, this.#from)
    if (isTidemarkError(error, 'BUS_LOST_RECORDS')) this.#busLostRecords = true
  }

  /** One life of the pipeline, from opening to whatever ends it; returns when it was long enough. */
  async live(healthy: () => void): Promise<void> {
    const life = new AbortController()
    try {
      await this.#liveUntilEnded(healthy, life)
    } catch (error) {
      // What was in hand fails for the sake of what ended the life, with an error that says less.
      const cause = life.signal.aborted ? life.signal.reason : error
      if (cause !== RENEWAL) throw cause
      this.#options.log.info({ maxLifeMs: this.limits.maxLifeMs }, RENEWAL.message)
    }
  }

  async #liveUntilEnded(healthy: () => void, life: AbortController): Promise<never> {
    const { source, postgresUrl, log } = this.#options
    const end = (reason: unknown) => life.abort(reason)
    const signal = AbortSignal.any([life.signal, this.#options.signal])
    await using parts = new AsyncDisposableStack()

    const client = await connect(postgresUrl, CLIENT, end)
    parts.defer(() => disconnect(client))
    // A query that waits on the server, perhaps for a standby, ends with its connection.
    signal.addEventListener('abort', () => void disconnect(client), { once: true })
    const turn = await this.#waitForTurn(client, signal, healthy)
    const bus = await this.#openBus()
    parts.defer(() => bus.close())
    const opened = await this.#openSource(client, bus, turn, signal)
    const acker = new Acker(opened.from)
    const { stream, inbox } = await this.#openStream(opened, acker, end)
    parts.defer(() => stream.close())
    const checked = checkStreamedSlot(client, source, opened.from)
    await withDeadline(checked, this.limits.pulseDeadlineMs, 'no answer about the slot')
    const { metrics, limits, heldBack } = this
    const pipeline = new Pipeline({
      ...{ opened, partitions: source.partitions, client, inbox, stream, bus, acker },
      ...{ time: new WatermarkTime(), heldBack, limits, metrics, log, signal, end },
      check: () => this.#check(client),
      onNewEpoch: () => {
        for (const { name } of allKeyspaces(source)) metrics.floor(name, 'epoch')
      },
      onBeat: () => {
        this.#beatAtMs = performance.now()
        this.#notReady = undefined
        healthy()
      },
    })
    const renewal = setTimeout(() => end(RENEWAL), limits.maxLifeMs)
    parts.defer(() => clearTimeout(renewal))
    return await pipeline.run()
  }

  /** As a warm standby, while another publisher has the source: that is no outage. */
  async #waitForTurn(client: Client, signal: AbortSignal, healthy: () => void): Promise<Turn> {
    const { source, log } = this.#options
    const onStandby = ({ message }: TidemarkError) => {
      healthy()
      this.#notReady = 'stands by: another publisher has the source'
      if (!this.#standsBy) log.info({ why: message }, 'standing by: another publisher has the source')
      this.#standsBy = true
    }
    const maxIdleMs = IDLE_CALLS * this.limits.sendDeadlineMs
    const turn = await waitForTurn({ client, source, signal, previousBackend: this.#backend, maxIdleMs, onStandby })
    if (this.#standsBy) this.#notReady = 'taking over'
    this.#standsBy = false
    return turn
  }

  #openBus(): Promise<Bus> {
    const { source, brokers, tls, sasl, log } = this.#options
    const { replicationFactor, sendDeadlineMs: deadlineMs } = this.limits
    const { topic, partitions } = source
    return Bus.open({
      brokers,
      tls,
      sasl,
      topic,
      partitions,
      replicationFactor,
      deadlineMs,
      offsets: this.#offsets,
      log,
    })
  }

  async #openSource(client: Client, bus: Bus, turn: Turn, signal: AbortSignal): Promise<OpenedSource> {
    const { source, postgresUrl, log } = this.#options
    const opened = await openSource({
      ...{ client, postgresUrl, source, bus, turn, signal, log },
      undecodableFrom: this.#decodingFailures.lastingFrom,
      busLostRecords: this.#busLostRecords,
      onNewEpoch: (cause) => {
        this.metrics.epochOpened(cause)
        this.#offsets.forget()
      },
    })
    const layouts = readLayouts(client, source)
    const oids = await withDeadline(layouts, this.limits.pulseDeadlineMs, 'no answer about the tables')
    this.#assembler.seed(new Map([...oids].map(([table, { oid }]) => [table, oid])))
    this.#busLostRecords = false
    this.#epoch = opened.epoch.number
    this.#from = opened.from
    return opened
  }

  async #openStream(opened: OpenedSource, acker: Acker, onBroken: (error: TidemarkError) => void) {
    const { source, postgresUrl } = this.#options
    let stream: ReplicationStream | undefined
    const inbox = new Inbox({
      assembler: this.#assembler,
      maxBytes: this.limits.maxBufferBytes,
      pause: () => stream?.pause(),
      resume: () => stream?.resume(),
    })
    this.#inbox = inbox
    stream = await ReplicationStream.open({
      url: postgresUrl,
      slot: source.slot,
      publication: source.publication,
      start: opened.from,
      silenceMs: this.limits.silenceMs,
      acknowledged: () => acker.forAcknowledge(),
      onBackend: (pid) => {
        this.#backend = pid
      },
      onMessage: (message) => inbox.accept(message),
      onKeepalive: (lsn) => inbox.keepalive(lsn),
      onBroken,
    })
    // Before the stream was ours to pause, its first bytes may already have filled the inbox.
    if (inbox.paused) stream.pause()
    return { stream, inbox }
  }

  /** What the stream rests on, and what happens to tables that it does not tell. */
  async #check(client: Client): Promise<void> {
    const { source, log } = this.#options
    const tables = await announceChangedTables(client, source)
    if (tables.length > 0) {
      log.warn({ tables }, 'tables were truncated, rewritten or replaced, or their partitions were: they are refilled')
    }
    await checkPublication(client, source)
  }

  #beatIsOld(): string | undefined {
    const ageMs = this.#beatAtMs === undefined ? undefined : performance.now() - this.#beatAtMs
    if (ageMs === undefined) return 'no watermark has been published yet'
    return ageMs > MAX_BEATS * this.limits.beatMs ? `the last watermark is ${Math.round(ageMs)} ms old` : undefined
  }

  #read(): PublisherReadings {
    const nowMs = performance.now()
    return {
      standby: this.#standsBy ? 1 : 0,
      bufferBytes: this.#inbox?.bytes,
      epoch: this.#epoch,
      slotRetainedBytes: this.#slot?.retainedBytes,
      slotUnconfirmedBytes: this.#slot?.unconfirmedBytes,
      slotSafeBytes: this.#slot?.safeBytes ?? undefined,
      heldBackSeconds: this.heldBack.seconds(nowMs),
      beatAgeSeconds: this.#beatAtMs === undefined ? undefined : (nowMs - this.#beatAtMs) / 1000,
    }
  }
}

/** At most four calls to Kafka, each with its deadline, lie between two questions to Postgres during an opening. */
const IDLE_CALLS = 5

/** So many beats may be missed before the publisher says that it is not ready. */
const MAX_BEATS = 20

/** A limit that is not given keeps its default. */
function limitsOf(options: Partial<PublisherLimits>): PublisherLimits {
  const limits = { ...DEFAULT_LIMITS }
  for (const name of Object.keys(DEFAULT_LIMITS) as (keyof PublisherLimits)[])
    limits[name] = options[name] ?? limits[name]
  return limits
}
