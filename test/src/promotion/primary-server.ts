import { type PostgresServer, waitUntil } from '@tidemark/local'
import { type Lsn, parseLsn } from '@tidemark/protocol'
import type { Pool } from 'pg'
import { historyOf } from '../evidence/commit-history.ts'
import { LogRecorder } from '../evidence/log-recorder.ts'
import { quietPool } from '../pipeline/pipeline-context.ts'
import type { Branch, EpochOfTimeline } from './branching-history.ts'

const DEADLINE_MS = 30_000

/** A server in its time as the primary, and the record of all that it commits to the rows. */
export class PrimaryServer implements AsyncDisposable {
  readonly server: PostgresServer
  readonly pool: Pool
  readonly timeline: number
  readonly #parent: PrimaryServer | null
  readonly #fork: ReadonlyMap<string, number>
  readonly #recorder: LogRecorder
  #branch: Promise<Branch> | undefined

  private constructor(
    server: PostgresServer,
    pool: Pool,
    parent: PrimaryServer | null,
    fork: ReadonlyMap<string, number>,
    recorder: LogRecorder,
  ) {
    this.server = server
    this.pool = pool
    this.timeline = parent === null ? 1 : parent.timeline + 1
    this.#parent = parent
    this.#fork = fork
    this.#recorder = recorder
  }

  /** The first one, with the table. */
  static async first(server: PostgresServer): Promise<PrimaryServer> {
    const pool = quietPool(server.url(), 24)
    await pool.query('create table hot (id integer primary key, n bigint not null)')
    return new PrimaryServer(server, pool, null, new Map(), await LogRecorder.start(pool, 'history_1', ['hot']))
  }

  /** Promotes a standby. Nobody may write to it before this returns: what it holds now is what it shares. */
  static async promote(standby: PostgresServer, parent: PrimaryServer): Promise<PrimaryServer> {
    await standby.promote()
    const pool = quietPool(standby.url(), 24)
    const { rows } = await pool.query<{ id: number; n: string }>('select id, n from hot')
    const fork = new Map(rows.map(({ id, n }) => [String(id), Number(n)]))
    const recorder = await LogRecorder.start(pool, `history_${parent.timeline + 1}`, ['hot'])
    return new PrimaryServer(standby, pool, parent, fork, recorder)
  }

  /** Where its log ends. */
  async end(): Promise<Lsn> {
    const { rows } = await this.pool.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    return parseLsn(rows[0]!.lsn)
  }

  /** Moves its log on by some segments: what it commits from here on lies beyond what a copy of it soon writes. */
  async leapAhead(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await this.pool.query(`select pg_logical_emit_message(false, 'test', ''), pg_switch_wal()`)
    }
  }

  async epochs(): Promise<EpochOfTimeline[]> {
    const { rows } = await this.pool.query<EpochOfTimeline>('select epoch, timeline from tidemark.epoch order by epoch')
    return rows
  }

  /** All that it committed. Ends the recording; a server that was killed is started again for it. */
  branch(): Promise<Branch> {
    this.#branch ??= this.#finish()
    return this.#branch
  }

  async #finish(): Promise<Branch> {
    const parent = this.#parent && (await this.#parent.branch())
    if (!this.server.isRunning) await this.server.start()
    const commits = await historyOf(this.#recorder.finish(), this.timeline)
    return { timeline: this.timeline, commits, parent, fork: this.#fork }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end()
  }
}

/** Cuts a standby off: nothing of what its primary commits from here on reaches it. */
export async function cutOff(standby: PostgresServer): Promise<void> {
  await standby.configure({ primary_conninfo: '' })
  const isAlone = async () =>
    (await standby.query('select from pg_stat_wal_receiver where pid is not null')).length === 0
  await waitUntil('the standby receives nothing', isAlone, { timeoutMs: DEADLINE_MS })
}
