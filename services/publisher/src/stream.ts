import { codedError, connectionConfig, quoteIdentifier, quoteLiteral, sqlState } from '@tidemark/postgres'
import { formatLsn, isTidemarkError, type Lsn, parseLsn, TidemarkError } from '@tidemark/protocol'
import { withDeadline } from '@tidemark/service'
import type { Client } from 'pg'
import { LogicalReplicationService } from 'pg-logical-replication'
import { CLIENT } from './client-name.ts'
import { type Message, parseMessage } from './pgoutput.ts'
import { TEXT_FORM } from './text-form.ts'

export interface StreamOptions {
  readonly url: string
  readonly slot: string
  readonly publication: string
  /** The slot's `confirmed_flush_lsn`. */
  readonly start: Lsn
  /** How long either side may say nothing: the server while we listen, and we at any time. */
  readonly silenceMs: number
  /** What every status says, in the library's terms; see `Acker.forAcknowledge`. */
  readonly acknowledged: () => string
  /** The server's process that serves us, as soon as it is known: it may hold the slot long after the connection broke. */
  readonly onBackend: (pid: number) => void
  /** Both run in the socket's callback, in the order of the stream; what they throw breaks it. */
  readonly onMessage: (message: Message) => void
  readonly onKeepalive: (lsn: Lsn) => void
  /** Called once, when the stream ends for whatever reason other than `close`. */
  readonly onBroken: (error: TidemarkError) => void
}

const START_TIMEOUT_MS = 30_000
const CLOSE_TIMEOUT_MS = 1_000
const WATCH_TICKS = 4

/**
 * The replication stream: pg-logical-replication with its sharp edges taken off.
 *
 * - It would acknowledge what was merely received: its automatic acknowledgements and its timer are both off, and
 *   all statuses are ours, with the acker's position.
 * - With its timer off nobody answers keepalives: we do, at once. We speak and ask by a timer of our own, too: while
 *   we have stopped reading no question reaches us, and a slow beat is not our silence.
 * - It parses inside a socket callback: our parser never throws, and what the handlers throw ends the stream.
 * - The end of its `subscribe()` is not always an error: any end is one here.
 * - It notices no half-open connection: we watch the server's silence, but not while it is we who do not read.
 */
export class ReplicationStream {
  readonly #options: StreamOptions
  readonly #service: LogicalReplicationService
  #watch: NodeJS.Timeout | undefined
  #silentTicks = 0
  #paused = false
  #ended = false

  private constructor(options: StreamOptions) {
    this.#options = options
    this.#service = new LogicalReplicationService(connectionConfig(options.url, CLIENT), {
      acknowledge: { auto: false, timeoutSeconds: 0 },
    })
  }

  /** Resolves once the server streams. Throws SLOT_ACTIVE, SLOT_LOST, SERVER_UNREACHABLE or STREAM_BROKEN. */
  static async open(options: StreamOptions): Promise<ReplicationStream> {
    const stream = new ReplicationStream(options)
    try {
      await withDeadline(stream.#start(), START_TIMEOUT_MS, 'no replication stream from Postgres')
      return stream
    } catch (error) {
      await stream.close()
      throw error
    }
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Stops reading from the socket. The server's sends will block; our statuses still reach it. */
  pause(): void {
    this.#paused = true
    internals(this.#service)._connection?.stream.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#silentTicks = 0
    internals(this.#service)._connection?.stream.resume()
  }

  /** Tells the server what is safe. With `ping` it answers with a keepalive that carries its position. */
  status(ping: boolean): void {
    if (this.#ended) return
    // Its answers would pile up unread while we are paused.
    this.#service.acknowledge(this.#options.acknowledged(), ping && !this.#paused).catch((e) => this.#break(e))
  }

  async close(): Promise<void> {
    this.#ended = true
    clearInterval(this.#watch)
    const { _client: client, _connection: connection } = internals(this.#service)
    const closed = this.#service.destroy().then(
      () => undefined,
      () => undefined,
    )
    await withDeadline(closed, CLOSE_TIMEOUT_MS, 'no goodbye').catch(() => undefined)
    // Late errors of a dead socket have no listener any more, and would end the process.
    for (const emitter of [client, connection]) emitter?.on('error', () => undefined)
    connection?.stream.destroy()
  }

  async #start(): Promise<void> {
    const { slot, publication, start, silenceMs, onBackend } = this.#options
    const started = Promise.withResolvers<void>()
    this.#service.on('start', () => started.resolve())
    this.#service.on('error', (error) => this.#break(error))
    this.#service.on('data', (_lsn, message: Message) => this.#handle(() => this.#options.onMessage(message)))
    this.#service.on('heartbeat', (lsn, _time, shouldRespond) => this.#onKeepalive(lsn, shouldRespond))
    const plugin = new PgoutputPlugin({ publication, session: sessionSettings(silenceMs), onBackend })
    const subscription = this.#service.subscribe(plugin, slot, formatLsn(start))
    const ended = subscription.then(
      () => Promise.reject(new TidemarkError('STREAM_BROKEN', 'the server ended the replication stream')),
      (error) => Promise.reject(startError(error)),
    )
    await Promise.race([started.promise, ended])
    ended.catch((error) => this.#break(error))
    this.#watch = setInterval(() => this.#tick(), silenceMs / WATCH_TICKS)
  }

  #onKeepalive(lsn: string, shouldRespond: boolean): void {
    this.#handle(() => this.#options.onKeepalive(parseLsn(lsn)))
    if (shouldRespond) this.status(false)
  }

  /** Runs a handler inside the socket's callback, from which nothing may be thrown. */
  #handle(handler: () => void): void {
    if (this.#ended) return
    this.#silentTicks = 0
    try {
      handler()
    } catch (error) {
      this.#break(error)
    }
  }

  /** Counts ticks instead of comparing times: a process that was itself stalled has not heard anything either. */
  #tick(): void {
    this.status(true)
    if (this.#paused) return
    this.#silentTicks += 1
    if (this.#silentTicks <= WATCH_TICKS) return
    this.#break(new TidemarkError('STREAM_BROKEN', `the server was silent for ${this.#options.silenceMs} ms`))
  }

  #break(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    clearInterval(this.#watch)
    this.#options.onBroken(isTidemarkError(error) ? error : brokenBy(error))
  }
}

/**
 * What the server's side of the stream shall go by, whatever the server's own configuration says. Set on the stream
 * itself: what a URL carries in `options` would replace what is set at the connection's start.
 *
 * The server's patience with us decides how long a frozen publisher, or one whose machine is gone, keeps its slot from
 * the next; and while it skips a large transaction of unpublished tables, half of it is how long the server says nothing.
 * Both must fit our own patience.
 */
function sessionSettings(silenceMs: number): Readonly<Record<string, string>> {
  return { ...TEXT_FORM, wal_sender_timeout: `${silenceMs}ms`, tcp_user_timeout: `${silenceMs}ms` }
}

type Plugin = Parameters<LogicalReplicationService['subscribe']>[0]

interface PluginOptions {
  readonly publication: string
  /** Settings of the session, by name. */
  readonly session: Readonly<Record<string, string>>
  readonly onBackend: (pid: number) => void
}

/** Our own parser and our own START_REPLICATION, with names quoted, in the library's frame. */
class PgoutputPlugin implements Plugin {
  readonly name = 'pgoutput'
  readonly options: PluginOptions

  constructor(options: PluginOptions) {
    this.options = options
  }

  parse(bytes: Buffer): Message {
    return parseMessage(bytes)
  }

  async start(client: Client, slot: string, lsn: string): Promise<unknown> {
    this.options.onBackend((client as unknown as { readonly processID: number }).processID)
    for (const [name, value] of Object.entries(this.options.session)) {
      await client.query(`SET ${name} = ${quoteLiteral(value)}`)
    }
    const publications = quoteLiteral(quoteIdentifier(this.options.publication))
    return client.query(
      `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL ${lsn} ` +
        `(proto_version '1', publication_names ${publications}, messages 'true')`,
    )
  }
}

/** Object not in prerequisite state (an invalidated slot, even after a check), undefined object. */
const SLOT_IS_GONE = ['55000', '42704']

/** The class of what the server did not expect of itself, damaged data included. */
const INTERNAL = 'XX'

function startError(error: unknown): TidemarkError {
  const state = sqlState(error)
  if (state && SLOT_IS_GONE.includes(state)) {
    return new TidemarkError('SLOT_LOST', 'the slot cannot be streamed from', { cause: error })
  }
  if (state?.startsWith(INTERNAL)) {
    return new TidemarkError('SLOT_UNDECODABLE', `the server cannot decode its log: ${messageOf(error)}`, {
      cause: error,
    })
  }
  return codedError(error, 'the replication stream ended')
}

function brokenBy(error: unknown): TidemarkError {
  return new TidemarkError('STREAM_BROKEN', messageOf(error), { cause: error })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** What the library keeps to itself and we need: the socket to pause, and both emitters to keep quiet at the end. */
interface Internals {
  readonly _client: { on(event: 'error', listener: () => void): unknown } | null
  readonly _connection: {
    on(event: 'error', listener: () => void): unknown
    readonly stream: { pause(): void; resume(): void; destroy(): void }
  } | null
}

function internals(service: LogicalReplicationService): Internals {
  return service as unknown as Internals
}
