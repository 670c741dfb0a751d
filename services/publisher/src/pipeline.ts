import { holderOf, type TransactionHolder } from '@tidemark/postgres'
import { encodeRecord, type Lsn, position } from '@tidemark/protocol'
import { cancellableSleep, type Logger, withDeadline } from '@tidemark/service'
import type { PublisherMetrics } from '@tidemark/telemetry'
import type { Client } from 'pg'
import type { Acker } from './acker.ts'
import { Batch, type SendLimits } from './batch.ts'
import type { Bus } from './bus.ts'
import type { HeldBack } from './held-back.ts'
import type { Inbox } from './inbox.ts'
import type { OpenedSource } from './opening.ts'
import { type Pulse, takePulse } from './snapshot.ts'
import type { ReplicationStream } from './stream.ts'
import type { Transaction } from './transaction.ts'
import type { Entry } from './visibility-gate.ts'
import type { WatermarkTime } from './watermark-time.ts'

export interface PipelineLimits extends SendLimits {
  readonly beatMs: number
  /** How long the primary may take to answer what it is asked about itself. */
  readonly pulseDeadlineMs: number
  /** About how many keys are published together. */
  readonly maxBatchKeys: number
}

export interface PipelineParts {
  readonly opened: OpenedSource
  readonly partitions: number
  readonly client: Client
  readonly inbox: Inbox
  readonly stream: ReplicationStream
  readonly bus: Bus
  readonly acker: Acker
  readonly time: WatermarkTime
  readonly heldBack: HeldBack
  readonly limits: PipelineLimits
  readonly metrics: PublisherMetrics
  readonly log: Logger
  /** Aborted when the stream, the connection or the service ends; its reason is thrown. */
  readonly signal: AbortSignal
  /** Aborts `signal` for a reason of the pipeline's own. */
  readonly end: (reason: unknown) => void
  /** Called when a new epoch has been announced for the first time. */
  readonly onNewEpoch: () => void
  /** Checks, every now and then, that nobody changed what the stream rests on. */
  readonly check: () => Promise<void>
  /** Called whenever Kafka has acknowledged a watermark on every partition. */
  readonly onBeat: (position: Lsn) => void
}

/** A watermark that says only where the server stands need not be written more often. */
const IDLE_WATERMARK_MS = 10
const NUDGE_MS = 1_000
const CHECK_MS = 2_000

/**
 * One life of the flow from Postgres to Kafka: received → visible → published → confirmed, in commit order, one
 * batch at a time. It ends by throwing, and whatever it had not confirmed comes again in the next life.
 */
export class Pipeline {
  readonly #parts: PipelineParts
  #position: Lsn
  #timeUs = -1n
  #publishedAtMs = 0
  #previousInsertLsn: Lsn = 0n
  #nudgedAtMs = 0
  #checkedAtMs = performance.now()

  constructor(parts: PipelineParts) {
    this.#parts = parts
    this.#position = parts.acker.safe
  }

  /** Announces the epoch, then publishes until something ends it. */
  async run(): Promise<never> {
    const { signal, end } = this.#parts
    await this.#announce()
    const loops = [this.#publishForEver(), this.#beatForEver()]
    for (const loop of loops) loop.catch(end)
    // Also the send in hand is waited for: nothing of this life may happen in the next one.
    await Promise.allSettled(loops)
    throw signal.reason
  }

  /**
   * The epoch's record is the floor of every keyspace. Sent at every start: it is idempotent, and a crash between
   * the epoch's row and its first announcement loses nothing.
   */
  async #announce(): Promise<void> {
    const { opened, bus, partitions } = this.#parts
    const { number, start, systemIdentifier, timeline } = opened.epoch
    const { timeUs } = await this.#pulse()
    const at = position(number, start)
    const record = encodeRecord({ kind: 'epoch', position: at, systemIdentifier, timeline, timeUs })
    await bus.send(Array.from({ length: partitions }, (_, partition) => ({ partition, ...record })))
    if (opened.isNewEpoch) this.#parts.onNewEpoch()
  }

  async #publishForEver(): Promise<never> {
    const { inbox, heldBack, limits, signal } = this.#parts
    for (;;) {
      signal.throwIfAborted()
      await this.#nextEntry()
      const head = inbox.head
      const pulse = head?.kind === 'transaction' ? await this.#pulse() : undefined
      const released = inbox.release(pulse?.snapshot, limits.maxBatchKeys)
      if (released.length > 0) {
        heldBack.passed()
        await this.#publish(released)
      } else if (head?.kind === 'transaction') {
        await cancellableSleep(
          heldBack.still(head.xid, performance.now(), (xid) => this.#findHolder(xid)),
          signal,
        )
      }
    }
  }

  async #nextEntry(): Promise<void> {
    const { inbox, signal } = this.#parts
    if (!inbox.head) await orAborted(inbox.arrival, signal)
    const idleMs = IDLE_WATERMARK_MS - (performance.now() - this.#publishedAtMs)
    if (inbox.onlyKeepalive && idleMs > 0) {
      await Promise.race([inbox.arrival, cancellableSleep(idleMs, signal)])
    }
  }

  /** Publishes what was released as one batch, its watermark last, and confirms it. */
  async #publish(released: readonly Entry[]): Promise<void> {
    const { opened, partitions, bus, acker, stream, time, limits } = this.#parts
    const batch = new Batch(opened.epoch.number, partitions)
    for (const entry of released) {
      if (entry.kind === 'transaction') batch.add(entry)
      this.#position = max(this.#position, entry.kind === 'transaction' ? entry.endLsn : entry.lsn)
    }
    const last = batch.transactions.at(-1)
    if (last) time.committed(last.commitTimeUs)
    const timeUs = time.at(this.#position)
    if (!last && this.#position === acker.safe && timeUs === this.#timeUs) return
    let acknowledged = 0
    for (const messages of batch.sends({ lsn: this.#position, timeUs }, limits)) acknowledged = await bus.send(messages)
    acker.published(this.#position, acknowledged, partitions)
    stream.status(false)
    this.#timeUs = timeUs
    this.#publishedAtMs = performance.now()
    this.#parts.onBeat(this.#position)
    this.#count(batch.transactions)
  }

  /**
   * Asks the primary for its time and position, then the stream for its own: once that has reached the former, a
   * watermark with that time goes out. So an idle source moves its watermark, and does not pin WAL.
   */
  async #beatForEver(): Promise<never> {
    const { stream, time, limits, signal } = this.#parts
    for (;;) {
      const pulse = await this.#pulse()
      time.observe(pulse.insertLsn, pulse.timeUs)
      stream.status(true)
      await this.#nudge(pulse)
      await this.#check()
      await cancellableSleep(limits.beatMs, signal)
    }
  }

  /**
   * WAL that no commit follows may lie unflushed for many seconds (an aborted or a long transaction in an idle
   * database), where the stream cannot reach it and time would stand still. A commit of our own flushes it; it is
   * flushed locally alone, for a standby may be away.
   */
  async #nudge(pulse: Pulse): Promise<void> {
    const { client, limits } = this.#parts
    const stuck = pulse.flushLsn < this.#previousInsertLsn
    this.#previousInsertLsn = pulse.insertLsn
    if (!stuck || performance.now() - this.#nudgedAtMs < NUDGE_MS) return
    this.#nudgedAtMs = performance.now()
    const nudged = client.query("set synchronous_commit = local; select pg_logical_emit_message(true, 'tidemark', '')")
    await withDeadline(nudged, limits.pulseDeadlineMs, 'no flush by the primary')
  }

  async #check(): Promise<void> {
    const { check, limits } = this.#parts
    if (performance.now() - this.#checkedAtMs < CHECK_MS) return
    await withDeadline(check(), limits.pulseDeadlineMs, 'no answer from the primary')
    this.#checkedAtMs = performance.now()
  }

  #findHolder(xid: number): Promise<TransactionHolder | undefined> {
    const { client, limits } = this.#parts
    return withDeadline(holderOf(client, xid), limits.pulseDeadlineMs, 'no answer from the primary')
  }

  #pulse(): Promise<Pulse> {
    const { client, opened, limits, signal } = this.#parts
    const pulse = takePulse(client, opened.server.segmentBytes)
    return orAborted(withDeadline(pulse, limits.pulseDeadlineMs, 'no answer from the primary'), signal)
  }

  #count(transactions: readonly Transaction[]): void {
    const { metrics } = this.#parts
    metrics.transactions(transactions.length)
    for (const { keys: keysOf, projections } of transactions) {
      for (const [keyspace, keys] of keysOf) {
        metrics.events(keyspace.name, keys.size)
        if (keyspace.projection) metrics.projections(keyspace.name, countOf(keys, projections))
      }
    }
  }
}

function countOf(keys: ReadonlySet<string>, projections: Transaction['projections']): number {
  let count = 0
  for (const key of keys) if (projections.get(key)) count++
  return count
}

function max(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b
}

/** The promise's result, or the signal's reason as soon as it is aborted. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Nobody is left to hear of the promise's own failure once the signal was quicker.
  promise.catch(() => undefined)
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
