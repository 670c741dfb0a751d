import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { localServers, type PostgresServer, waitUntil } from '@tidemark/local'
import { Client } from 'pg'
import { readTopic } from '../evidence/topic-reader.ts'
import { ServiceProcess } from '../pipeline/service-process.ts'
import { bulkSource } from './bulk-source.ts'
import { ResidentMemory } from './resident-memory.ts'

const CONFIG = join(import.meta.dirname, 'bulk.config.ts')
const IDLE_BEATS = 20
const TIMEOUT_MS = 900_000

/** What became of one transaction. */
export interface Passage {
  readonly what: string
  readonly rows: number
  /** The publisher's resident memory, at most, while the transaction passed. */
  readonly peakMb: number
  /** From the commit to its confirmation. */
  readonly seconds: number
}

/** A publisher as a process of its own, on a database of its own, that bulk transactions are sent through. */
export class BulkRun implements AsyncDisposable {
  readonly name: string
  readonly #sql: Client
  readonly #memory: ResidentMemory
  readonly #logFile: string
  readonly #resources: AsyncDisposableStack

  private constructor(name: string, sql: Client, publisher: ServiceProcess, resources: AsyncDisposableStack) {
    this.name = name
    this.#sql = sql
    this.#memory = resources.use(new ResidentMemory(publisher.pid))
    this.#logFile = publisher.logFile
    this.#resources = resources
  }

  /** Either side of the stream may be silent for so long. */
  static async start(server: PostgresServer, silenceMs: number): Promise<BulkRun> {
    await using resources = new AsyncDisposableStack()
    const name = `bulk${randomBytes(4).toString('hex')}`
    const admin = resources.adopt(await connected(server.url()), (client) => client.end())
    await admin.query(`create database ${name}`)
    const url = new URL(server.url())
    url.pathname = `/${name}`
    const sql = resources.adopt(await connected(url.href), (client) => client.end())
    await sql.query('set search_path = public; create table bulk (id int primary key, n int not null, filler text)')
    await sql.query('alter table bulk replica identity full; create table elsewhere (like bulk)')
    const servers = { primaryUrl: url.href, brokers: localServers().kafkaBrokers.split(',') }
    const env = { TIDEMARK_CONFIG: CONFIG, TIDEMARK_POSTGRES_SILENCE_MS: String(silenceMs) }
    const publisher = resources.use(await ServiceProcess.start('publisher', { name, servers }, env))
    const run = new BulkRun(name, sql, publisher, resources.move())
    await run.#confirmed()
    return run
  }

  /** The peak of a publisher that has nothing to do but its beats. */
  async idlePeakMb(): Promise<number> {
    this.#memory.takePeakMb()
    for (let beat = 0; beat < IDLE_BEATS; beat++) await this.#confirmed()
    return this.#memory.takePeakMb()
  }

  /** Sends statements through, and waits until the publisher has confirmed what is behind them. */
  async pass(what: string, rows: number, statements: readonly string[]): Promise<Passage> {
    this.#memory.takePeakMb()
    for (const statement of statements) await this.#sql.query(statement)
    const sinceMs = performance.now()
    await this.#confirmed()
    const seconds = (performance.now() - sinceMs) / 1000
    return { what, rows, peakMb: this.#memory.takePeakMb(), seconds: Math.round(seconds * 10) / 10 }
  }

  /** The keyspaces that became floors, each once, and how many events there were. */
  async published(): Promise<{ floors: string[]; events: number }> {
    const records = await readTopic(localServers().kafkaBrokers.split(','), bulkSource(this.name).topic)
    const floors = records.flatMap(({ record }) => (record.kind === 'floor' ? [record.keyspace] : []))
    return { floors: [...new Set(floors)].sort(), events: records.filter((r) => r.record.kind === 'event').length }
  }

  /** How often the stream was opened again. */
  async restarts(): Promise<number> {
    return (await readFile(this.#logFile, 'utf8')).split('opening the stream again').length - 1
  }

  /** Waits until the slot has passed what is written by now. */
  async #confirmed(): Promise<void> {
    const { rows } = await this.#sql.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    const passed = async () => {
      const { slot } = bulkSource(this.name)
      const asked =
        'select 1 from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn >= $2::text::pg_lsn'
      return (await this.#sql.query(asked, [slot, rows[0]!.lsn])).rowCount === 1
    }
    await waitUntil('the publisher confirms', passed, { timeoutMs: TIMEOUT_MS })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync()
  }
}

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return client
}
