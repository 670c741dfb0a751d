import type { View } from '@tidemark/guard'
import { after, maxPosition, ORIGIN, type Position, position, type Version, version } from '@tidemark/protocol'
import type { Connection, ConnectionPool } from '../sources/database.ts'
import type { StandingRow } from '../sources/standing.ts'

interface Commit {
  readonly key: number
  readonly version: Version
  visibleAt: number | null
}

/** How far the pipeline has come in a partition: the first so many commits, of which it applies those to its keys. */
interface Told {
  commits: number
  watermark: Position
  beat: number
}

/** What a read returned: the commits to its key that it reflects. */
export type Reflected = readonly Version[]

/** Stands for the standing statement; the servers below answer it. */
export const STANDING = 'standing'

const EPOCH = 1
const RECORD_BYTES = 10n
const KEYS = 2

/**
 * One primary, one replica and one region's view, of which every step that Postgres and the pipeline may take in any
 * order is a step of its own: a commit is in the log before it is visible, and visible out of order; a replica shows it
 * before its replay LSN moves; the publisher tells in commit order what is visible. A tape of numbers says what happens
 * between any two statements of a load.
 */
export class SimulatedShop {
  now = 1_700_000_000_000
  readonly #tape: readonly number[]
  #at = 0
  readonly #commits: Commit[] = []
  #logEnd = 100n
  #received = 100n
  #replayed = 100n
  #shownByReplica = 0
  readonly #partitions: Told[]

  /** @param partitions each of which the pipeline serves for itself; the key says which, modulo their number */
  constructor(tape: readonly number[], partitions = 1) {
    this.#tape = tape
    const nothing = () => ({ commits: 0, watermark: position(EPOCH, 100n), beat: this.now })
    this.#partitions = Array.from({ length: partitions }, nothing)
  }

  /** Whether the tape has more. */
  get goesOn(): boolean {
    return this.#at < this.#tape.length
  }

  /** The next number of the tape, for the test's own choices; 0 at its end. */
  next(): number {
    return this.#tape[this.#at++] ?? 0
  }

  /** Some steps of the world. */
  pass(): void {
    for (let left = this.next() % 6; left > 0; left--) this.#step(this.next())
  }

  /** A session's write: it returns once it is visible; `own` is the end of the log after that. */
  write(key: number): { version: Version; own: Position } {
    const commit = this.#commit(key)
    this.pass()
    commit.visibleAt ??= this.now
    this.pass()
    return { version: commit.version, own: position(EPOCH, this.#logEnd) }
  }

  /** Of the partition of a key. */
  view(key = 0): View {
    const told = this.#toldOf(key)
    return {
      epoch: '00000001',
      watermark: told.watermark,
      newest: this.#newestIn(told),
      horizon: ORIGIN,
      floors: {},
      offset: '0'.repeat(16),
      beat: told.beat,
      current: 0,
      generations: {},
    }
  }

  lease(key: number): { required: Position; granted: Position } {
    const told = this.#toldOf(key)
    const past = this.#commits.slice(0, told.commits).filter((c) => c.key === key)
    const required = maxPosition(ORIGIN, ...past.map((c) => after(c.version)))
    return { required, granted: maxPosition(required, told.watermark, after(this.#newestIn(told))) }
  }

  /** Commits to a key: all that are in the log, be they visible anywhere or not; or those visible before a time. */
  commitsTo(key: number, visibleBefore?: number): Version[] {
    const isMeant = ({ visibleAt }: Commit) =>
      visibleBefore === undefined || (visibleAt !== null && visibleAt < visibleBefore)
    return this.#commits.filter((c) => c.key === key && isMeant(c)).map((c) => c.version)
  }

  primary(): ConnectionPool {
    return this.#pool(
      () => this.#commits.filter((c) => c.visibleAt !== null),
      () => rowOf({ recovering: false, insert_lsn: hex(this.#logEnd) }),
    )
  }

  replica(): ConnectionPool {
    return this.#pool(
      () => this.#commits.slice(0, this.#shownByReplica),
      () => rowOf({ recovering: true, replay_lsn: hex(this.#replayed), receive_lsn: hex(this.#received) }),
    )
  }

  #toldOf(key: number): Told {
    return this.#partitions[key % this.#partitions.length]!
  }

  #newestIn(told: Told): Version {
    const past = this.#commits.slice(0, told.commits).filter((c) => this.#toldOf(c.key) === told)
    return past.at(-1)?.version ?? version(EPOCH, 0n)
  }

  #commit(key: number): Commit {
    const commit: Commit = { key, version: version(EPOCH, this.#logEnd), visibleAt: null }
    this.#commits.push(commit)
    this.#logEnd += RECORD_BYTES // the next commit's LSN is this one's end
    return commit
  }

  #step(choice: number): void {
    const which = choice >> 4
    const steps = [
      () => this.#commit(which % KEYS),
      () => this.#show(which),
      () => this.#show(0),
      () => {
        this.#received = this.#endOf(Math.min(this.#commits.length, this.#shownByReplica + 1 + (which % 3)))
      },
      () => this.#showOnReplica(),
      () => {
        this.#replayed = this.#endOf(this.#shownByReplica)
      },
      () => this.#tell(this.#toldOf(which)),
      () => this.#markWater(this.#toldOf(which)),
      () => {
        this.now += which % 5
      },
    ]
    steps[choice % steps.length]!()
  }

  #show(which: number): void {
    const hidden = this.#commits.filter((c) => c.visibleAt === null)
    const commit = hidden[which % Math.max(1, hidden.length)]
    if (commit) commit.visibleAt = this.now
  }

  #showOnReplica(): void {
    const next = this.#commits[this.#shownByReplica]
    if (next && this.#received >= this.#endOf(this.#shownByReplica + 1)) this.#shownByReplica++
  }

  /** The publisher holds back what is not visible, and all that comes after it. */
  #tell(told: Told): void {
    if (this.#commits[told.commits] && this.#commits[told.commits]!.visibleAt !== null) told.commits++
  }

  #markWater(told: Told): void {
    told.watermark = position(EPOCH, this.#endOf(told.commits))
    const visibleUntold = this.#commits.slice(told.commits).flatMap((c) => c.visibleAt ?? [])
    told.beat = Math.max(told.beat, Math.min(this.now, ...visibleUntold))
  }

  #endOf(commits: number): bigint {
    return 100n + BigInt(commits) * RECORD_BYTES
  }

  #pool(visible: () => readonly Commit[], standing: () => StandingRow): ConnectionPool {
    return { connect: async () => ({ ...this.#session(visible, standing), release: () => undefined }) }
  }

  /** Every statement takes its own snapshot, unless the transaction is REPEATABLE READ; the world goes on between. */
  #session(visible: () => readonly Commit[], standing: () => StandingRow): Connection {
    let frozen: readonly Commit[] | null = null
    let repeatable = false
    const answer = (text: string, key: unknown): unknown[] => {
      this.pass()
      if (text.startsWith('begin')) {
        repeatable = text.includes('repeatable read')
        return []
      }
      if (repeatable) frozen ??= [...visible()]
      if (text === STANDING) {
        this.pass() // its functions are evaluated after its snapshot was taken
        return [standing()]
      }
      if (text === 'rows') return (frozen ?? visible()).filter((c) => c.key === key).map((c) => c.version)
      return []
    }
    const query = async (text: string, values: unknown[] = []) => {
      const results = text.split('; ').map((one) => ({ rows: answer(one, values[0]) }))
      return results.length === 1 ? results[0]! : results
    }
    return { query: query as Connection['query'] }
  }
}

function rowOf(row: Partial<StandingRow>): StandingRow {
  const known = {
    segment_bytes: '16777216',
    timeline: 1,
    epoch: EPOCH,
    epoch_timeline: 1,
    system_identifier: '7',
    version: 180000,
    server: 'one',
  }
  return { recovering: false, insert_lsn: null, replay_lsn: null, receive_lsn: null, ...known, ...row }
}

function hex(lsn: bigint): string {
  return `0/${lsn.toString(16)}`
}
