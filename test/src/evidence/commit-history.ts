import assert from 'node:assert/strict'
import { covers, type Position, type Version, version } from '@tidemark/protocol'
import type { Label } from '@tidemark/refill'
import type { Pool } from 'pg'

/** What the database committed, key by key, in commit order: the truth that readings are held against. */
export type CommitHistory = ReadonlyMap<string, readonly Commit[]>

export interface Commit {
  readonly version: Version
  readonly n: number
}

/** A reading, as far as the history can judge it. */
export interface Claim {
  readonly id: string
  readonly n: number
  /** The value reflects every commit to its key that this covers. */
  readonly position: Position | null
  readonly label: Label | null
}

const PLUGIN = 'pgoutput'
const MESSAGES_AT_A_TIME = 50_000
const BEGIN = 0x42
const INSERT = 0x49
const UPDATE = 0x55
const NEW_TUPLE = 0x4e

/**
 * Records the commits to table `hot` by a slot of its own, so that nothing of the product decodes what the product
 * is judged by. Start it before the writes.
 */
export class HistoryRecorder {
  readonly #pool: Pool
  readonly #name: string

  private constructor(pool: Pool, name: string) {
    this.#pool = pool
    this.#name = name
  }

  static async start(pool: Pool, name: string): Promise<HistoryRecorder> {
    await pool.query(`create publication ${name} for table hot`)
    await pool.query('select pg_create_logical_replication_slot($1, $2)', [name, PLUGIN])
    return new HistoryRecorder(pool, name)
  }

  /** What was committed since the start, under the epoch given. Ends the recording. */
  async finish(epoch: number): Promise<CommitHistory> {
    const history = new Map<string, Commit[]>()
    let commitLsn: bigint | undefined
    for await (const data of this.#messages()) {
      if (data[0] === BEGIN) commitLsn = data.readBigUInt64BE(1)
      if (data[0] !== INSERT && data[0] !== UPDATE) continue
      assert(commitLsn !== undefined && data[5] === NEW_TUPLE, 'a change of hot follows Begin and keeps its key')
      const [id, n] = columnsOf(data)
      const commits = history.get(id) ?? []
      commits.push({ version: version(epoch, commitLsn), n: Number(n) })
      history.set(id, commits)
    }
    await this.#pool.query('select pg_drop_replication_slot($1)', [this.#name])
    return history
  }

  /** Some at a time: a history of minutes is hundreds of thousands. */
  async *#messages(): AsyncGenerator<Buffer> {
    for (;;) {
      const { rows } = await this.#pool.query<{ data: Buffer }>(
        `select data from pg_logical_slot_get_binary_changes($1, null, $3, 'proto_version', '1', 'publication_names', $2)`,
        [this.#name, this.#name, MESSAGES_AT_A_TIME],
      )
      if (rows.length === 0) return
      for (const { data } of rows) yield data
    }
  }
}

/** The two text columns of a new tuple: after kind (1), relation (4), 'N' (1) and the column count (2). */
function columnsOf(data: Buffer): [string, string] {
  const idBytes = data.readInt32BE(9)
  const n = 13 + idBytes + 5
  return [data.toString('utf8', 13, 13 + idBytes), data.toString('utf8', n, n + data.readInt32BE(n - 4))]
}

/**
 * What is false in a claim, in words; null when it is true (I1). `n` only grows, so the value of a commit is known by
 * its number: the label begins too high when a commit that it covers is newer than the value, and ends too low when
 * it does not cover the commit that the value is of.
 */
export function falsehoodOf(claim: Claim, history: CommitHistory): string | null {
  const commits = history.get(claim.id) ?? []
  const own = commits.find((c) => c.n === claim.n)
  for (const p of [claim.position, claim.label?.low ?? null]) {
    const missed = p && commits.findLast((c) => covers(p, c.version))
    if (missed && missed.n > claim.n)
      return `overclaims: ${claim.n} at ${p}, which covers ${missed.n} (${missed.version})`
  }
  if (own && claim.label && !covers(claim.label.high, own.version)) {
    return `denies: ${claim.n} (${own.version}) is in it, and ${claim.label.high} does not cover that`
  }
  return null
}
