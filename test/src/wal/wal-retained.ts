import { randomBytes } from 'node:crypto'
import { localServers, PostgresServer, waitUntil } from '@tidemark/local'
import { defineSource } from '@tidemark/protocol'
import { runPublisher } from '@tidemark/publisher'
import { Client } from 'pg'
import { pino } from 'pino'

/** What one round writes to the table that is not published, before a checkpoint. */
const ROUND_MB = 16
const CONFIRMED_TIMEOUT_MS = 60_000

export interface WalReport {
  readonly writtenMb: number
  /** From the slot's restart position on, at worst. */
  readonly peakRetainedMb: number
  /** All of `pg_wal`, recycled segments included, at worst. */
  readonly peakDiskMb: number
}

/**
 * An idle publication beside a busy table that is not published: nothing ever comes through the stream but the
 * server's word of how far it is. Every round must be confirmed before the next one is written.
 */
export async function writeBesideIdlePublication(totalMb: number): Promise<WalReport> {
  const settings = { max_wal_size: '64MB', min_wal_size: '32MB', checkpoint_timeout: '1h' }
  await using server = await PostgresServer.start({ durable: false, settings })
  await using sql = await open(server)
  const slot = await publish(server, sql)
  await waitUntil('the slot is in use', () => value<boolean>(sql, ACTIVE, slot.name), { timeoutMs: 60_000 })
  const begin = await value<string>(sql, 'select pg_current_wal_insert_lsn()::text')
  let [peakRetainedMb, peakDiskMb, writtenMb] = [0, 0, 0]
  try {
    while (writtenMb < totalMb) {
      await sql.query("insert into busy select i, repeat('x', 1000) from generate_series(1, $1) as i", [ROUND_MB * 920])
      await sql.query('delete from busy')
      await sql.query('checkpoint')
      peakRetainedMb = Math.max(peakRetainedMb, await value<number>(sql, RETAINED, slot.name))
      await confirmed(sql, slot.name)
      peakDiskMb = Math.max(peakDiskMb, await value<number>(sql, 'select sum(size) / 1048576 from pg_ls_waldir()'))
      writtenMb = await value<number>(sql, 'select (pg_current_wal_insert_lsn() - $1::pg_lsn) / 1048576', begin)
    }
  } finally {
    await slot.release()
  }
  return { writtenMb, peakRetainedMb, peakDiskMb }
}

const ACTIVE = 'select coalesce((select active from pg_replication_slots where slot_name = $1), false)'
const RETAINED =
  'select (pg_current_wal_insert_lsn() - restart_lsn) / 1048576 from pg_replication_slots where slot_name = $1'

/** Until all that was written by now is confirmed. */
async function confirmed(sql: Client, slot: string): Promise<void> {
  const end = await value<string>(sql, 'select pg_current_wal_flush_lsn()::text')
  const query = `select confirmed_flush_lsn >= '${end}'::pg_lsn from pg_replication_slots where slot_name = $1`
  await waitUntil(`the idle publication confirms ${end}`, () => value<boolean>(sql, query, slot), {
    timeoutMs: CONFIRMED_TIMEOUT_MS,
  })
}

async function publish(server: PostgresServer, sql: Client) {
  await sql.query('create table quiet (id int primary key)')
  await sql.query('create table busy (id int, filler text)')
  const name = `wal-${randomBytes(4).toString('hex')}`
  const keyspaces = { quiet: { key: 'quiet:{id}', tables: { 'public.quiet': { id: 'id' } } } }
  const source = defineSource({ name, partitions: 2, keyspaces })
  const ending = new AbortController()
  const run = runPublisher({
    ...{ source, postgresUrl: server.url(), brokers: localServers().kafkaBrokers.split(',') },
    ...{ signal: ending.signal, log: pino({ level: 'silent' }) },
  })
  const ended = run.catch((error: unknown) => error)
  return {
    name: source.slot,
    async release(): Promise<void> {
      ending.abort(new Error('the test is over'))
      const error = await ended
      if (error !== ending.signal.reason) throw error
    },
  }
}

async function open(server: PostgresServer): Promise<Client & AsyncDisposable> {
  const client = new Client({ connectionString: server.url() })
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

async function value<T>(sql: Client, query: string, ...values: unknown[]): Promise<T> {
  const { rows } = await sql.query({ text: query, values, rowMode: 'array' })
  const found = rows[0]?.[0] as unknown
  // Numeric comes as text.
  return (typeof found === 'string' && /^\d+(\.\d+)?$/.test(found) ? Number(found) : found) as T
}

/**
 * What the server may keep, whatever is written. The restart position follows the confirmed one by a checkpoint or two,
 * and a round writes its rows twice; on disk there are `max_wal_size` and segments for later use besides.
 */
export const MAX_RETAINED_MB = 4 * 2 * ROUND_MB
export const MAX_DISK_MB = MAX_RETAINED_MB + 2 * 64

export function walReportText({ writtenMb, peakRetainedMb, peakDiskMb }: WalReport): string {
  const [written, retained, disk] = [writtenMb, peakRetainedMb, peakDiskMb].map(Math.round)
  return `${written} MB of log written beside an idle publication; kept for its slot at most ${retained} MB, on disk ${disk} MB`
}
