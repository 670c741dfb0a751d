import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type QueryResultRow } from 'pg'
import { postgresAccount } from './account.ts'
import type { ChildSpec } from './child.ts'
import { LocalServerError } from './errors.ts'
import { endLeftover } from './leftover.ts'
import { freePort } from './ports.ts'
import { hotBackup } from './postgres-backup.ts'
import { postgresBinaries } from './postgres-binaries.ts'
import { PostgresData, type PostgresSettings, SUPERUSER } from './postgres-data.ts'
import { childrenOf, signalIfAlive } from './process-table.ts'
import { openServerFolder, type ServerFolder } from './run-folder.ts'
import type { ServerOptions } from './server-options.ts'
import { ServerProcess } from './server-process.ts'
import { waitUntil } from './wait.ts'

const START_TIMEOUT_MS = 60_000
const CONTROL_TIMEOUT_MS = 30_000
const RETRY_MS = 100

const DEFAULT_SETTINGS: PostgresSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  wal_level: 'logical',
  max_connections: 200,
  max_wal_senders: 32,
  max_replication_slots: 32,
  hot_standby: true,
  hot_standby_feedback: true,
  // A replica notices quickly that its primary is back. The default is five seconds.
  wal_retrieve_retry_interval: '250ms',
  shared_buffers: '64MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] %q%a ',
}

/** Without them a crash of the machine, not of the server, loses data; for throw-away servers that is no loss. */
const NOT_DURABLE: PostgresSettings = { fsync: false }

export interface PostgresOptions extends ServerOptions {
  readonly settings?: PostgresSettings
  /** synchronous_standby_names, as Postgres spells it: `FIRST 1 ("eu-west")`. */
  readonly syncStandbyNames?: string
  /** False switches fsync off, for tests. */
  readonly durable?: boolean
  /** True gives it a system identifier of its own. Otherwise it has that of the template, as all others do. */
  readonly ownIdentity?: boolean
  /** Name to content: what its data folder holds besides, such as a key, or in the place of what initdb made. */
  readonly files?: Readonly<Record<string, string>>
}

export interface ReplicaOptions extends ServerOptions {
  /** application_name of its connection to the primary, and the name of its slot, in lower case and underscores. */
  readonly name: string
  readonly settings?: PostgresSettings
}

interface Place {
  readonly name: string
  readonly folder: ServerFolder
  readonly port: number
  readonly settings: PostgresSettings
  readonly onDeath: ServerOptions['onDeath']
}

/** A Postgres of this machine, 18 unless the environment names another: a primary, or a streaming replica of one. */
export class PostgresServer extends ServerProcess {
  readonly port: number
  readonly #place: Place
  readonly #data: PostgresData

  private constructor(place: Place) {
    super(place.name, place.folder)
    this.#place = place
    this.port = place.port
    this.#data = new PostgresData(join(this.dir, 'data'), postgresAccount())
  }

  /** Starts a primary; in a folder that already holds one, that one. */
  static async start(options: PostgresOptions = {}): Promise<PostgresServer> {
    const { durable = true, syncStandbyNames = '', onProgress = () => undefined } = options
    await using undo = new AsyncDisposableStack()
    const settings: PostgresSettings = {
      ...DEFAULT_SETTINGS,
      ...(durable ? {} : NOT_DURABLE),
      synchronous_standby_names: syncStandbyNames,
      ...options.settings,
    }
    const folder = undo.use(await openServerFolder(options.dir))
    const port = options.port ?? (await freePort())
    const server = new PostgresServer({ name: 'postgres', folder, port, settings, onDeath: options.onDeath })
    if (!(await server.#data.isInitialised())) {
      onProgress('postgres: creating a database cluster')
      await server.#data.initialise(options)
    }
    for (const [name, text] of Object.entries(options.files ?? {})) await server.#data.write(name, text)
    onProgress(`postgres: starting on port ${server.port}`)
    await server.start(options.signal)
    undo.move()
    return server
  }

  /** A connection URL; the server lets in whoever reaches the loopback. */
  url(database = 'postgres'): string {
    return `postgres://${SUPERUSER}@127.0.0.1:${this.port}/${database}`
  }

  /** After a SIGKILL its processes take a moment to go: it is tried again while they hold the shared memory. */
  override async start(signal?: AbortSignal, deadline = Date.now() + START_TIMEOUT_MS): Promise<void> {
    try {
      await super.start(signal)
    } catch (error) {
      if (!isStillInUse(error) || Date.now() > deadline) throw error
      await sleep(RETRY_MS)
      await this.start(signal, deadline)
    }
  }

  /** `fast` disconnects everybody and writes a checkpoint; `immediate` leaves the rest to crash recovery. */
  override async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.child?.stop(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
  }

  /** SIGKILL to all of its processes, as the loss of the machine would end it. */
  override async kill(): Promise<void> {
    if (!this.child?.isRunning) return
    // Left alone, a busy backend goes on for a while, and commits. Paused, the postmaster forks no other one.
    this.pause()
    const backends = await childrenOf(this.child.pid)
    await super.kill()
    for (const pid of backends) signalIfAlive(pid, 'SIGKILL')
  }

  override async restart(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.stop(mode)
    await this.start()
  }

  /** One statement on a connection of its own. */
  async query<Row extends QueryResultRow>(sql: string, values: unknown[] = [], database?: string): Promise<Row[]> {
    return withClient(this.url(database), async (client) => (await client.query<Row>(sql, values)).rows)
  }

  /**
   * Changes settings that need no restart; they are in force when it returns. A reload reaches each process at a time of
   * its own: the checkpointer, which decides whether commits wait for standbys, has read them once it has done a
   * checkpoint that was asked for after the reload.
   */
  async configure(settings: PostgresSettings): Promise<void> {
    const loadedAt = 'select pg_conf_load_time() as at'
    const [before] = await this.query<{ at: Date }>(loadedAt)
    for (const [name, value] of Object.entries(settings)) {
      await this.query(`alter system set ${name} = '${String(value).replaceAll("'", "''")}'`)
    }
    await this.query('select pg_reload_conf()')
    // A new session has what the postmaster had when it was forked.
    const isLoaded = async () => (await this.query<{ at: Date }>(loadedAt))[0]!.at > before!.at
    await waitUntil(`${this.name} reads its settings`, isLoaded, { timeoutMs: CONTROL_TIMEOUT_MS })
    await this.query('checkpoint')
  }

  /** A streaming replica of this server, made while it runs. */
  async createReplica(options: ReplicaOptions): Promise<PostgresServer> {
    const { name, onProgress = () => undefined } = options
    await using undo = new AsyncDisposableStack()
    const slot = await this.#createSlot(name)
    undo.defer(() => this.#dropSlot(slot))
    const conninfo = `host=127.0.0.1 port=${this.port} user=${SUPERUSER} dbname=postgres application_name='${name}'`
    const settings: PostgresSettings = {
      ...this.#place.settings,
      synchronous_standby_names: '',
      primary_conninfo: conninfo,
      primary_slot_name: slot,
      ...options.settings,
    }
    const folder = undo.use(await openServerFolder(options.dir))
    const port = options.port ?? (await freePort())
    const named = `postgres replica ${name}`
    const replica = new PostgresServer({ name: named, folder, port, settings, onDeath: options.onDeath })
    onProgress(`postgres: copying the primary for replica ${name}`)
    await replica.#data.create()
    const label = await withClient(this.url(), (session) => hotBackup(session, this.#data, replica.#data))
    await replica.#data.markStandby(label)
    onProgress(`postgres: starting replica ${name} on port ${replica.port}`)
    await replica.start(options.signal)
    undo.move()
    return replica
  }

  /** Returns once nothing more is replayed. WAL is still received and acknowledged meanwhile. */
  async pauseReplay(): Promise<void> {
    await this.query('select pg_wal_replay_pause()')
    const isPaused = async () =>
      (await this.query<{ state: string }>('select pg_get_wal_replay_pause_state() as state'))[0]?.state === 'paused'
    await waitUntil(`${this.name} pauses replay`, isPaused, { timeoutMs: CONTROL_TIMEOUT_MS })
  }

  async resumeReplay(): Promise<void> {
    await this.query('select pg_wal_replay_resume()')
  }

  /** Holds every commit back for that long, by the clocks of the two servers. */
  async setApplyDelay(delayMs: number): Promise<void> {
    await this.configure({ recovery_min_apply_delay: `${Math.trunc(delayMs)}ms` })
  }

  /** Makes a primary of a replica, on a new timeline; returns once it takes writes. */
  async promote(): Promise<void> {
    const rows = await this.query<{ promoted: boolean }>('select pg_promote(true, $1) as promoted', [
      CONTROL_TIMEOUT_MS / 1000,
    ])
    if (!rows[0]?.promoted) throw new LocalServerError('DEADLINE', `${this.name} was not promoted in time`)
  }

  protected override async prepare(): Promise<ChildSpec> {
    const { path, account } = this.#data
    await endLeftover(join(path, 'postmaster.pid'), path)
    await this.#data.writeSettings({ ...this.#place.settings, port: this.port })
    const { postgres, env } = await postgresBinaries(account)
    return {
      name: this.name,
      command: postgres,
      args: ['-D', path],
      env,
      account,
      logFile: join(this.dir, 'postgres.log'),
      ready: () => postgresAnswers(this.url()),
      readyTimeoutMs: START_TIMEOUT_MS,
      stopTimeoutMs: CONTROL_TIMEOUT_MS,
      onDeath: this.#place.onDeath,
    }
  }

  async #createSlot(name: string): Promise<string> {
    const slot = name.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_')
    // Reserving WAL at once: it must be there still when the copy is complete.
    await this.query('select pg_create_physical_replication_slot($1, true)', [slot])
    return slot
  }

  async #dropSlot(slot: string): Promise<void> {
    if (!this.isRunning) return
    const drop = 'select pg_drop_replication_slot(slot_name) from pg_replication_slots'
    await this.query(`${drop} where slot_name = $1 and not active`, [slot])
  }
}

function isStillInUse(error: unknown): boolean {
  const { code, message } = error as LocalServerError
  return code === 'CHILD_DIED' && /pre-existing shared memory block .* is still in use/.test(message)
}

/** Whether a server at this URL takes connections and answers a query. */
export async function postgresAnswers(url: string): Promise<boolean> {
  return withClient(url, async (client) => (await client.query('select 1')).rowCount === 1)
}

async function withClient<T>(connectionString: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 5_000 })
  // A server that goes away under an idle connection is an event, not a rejection; the query in hand is rejected too.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}
