import type { Label } from '@tidemark/guard'
import { epochOf, maxPosition, type Position } from '@tidemark/protocol'
import { type Connection, type ConnectionPool, rolledBack, rowsOfEach, withConnection } from './database.ts'
import { type Standing, type StandingRow, standingOf } from './standing.ts'

export type Load<Value> = (db: Connection) => Promise<Value>

/** Whether each statement of a load has a snapshot of its own, or all have one. */
export type Isolation = 'statements' | 'snapshot'

/** The app's load threw: told apart from a server that is away. */
export class LoadFailure extends Error {}

/** A value with the interval of positions that it is true for. */
export interface Loaded<Value> {
  readonly value: Value
  /** Null when it cannot be labelled: handed to the caller, never cached. */
  readonly label: Label | null
  /** ms since 1970, before the load began, when it came from the primary; null for a load from a replica. */
  readonly loadedAt: number | null
  /** Where the server stood after the load, if it could say. */
  readonly standing: Standing | null
}

/** What is loaded, and how. */
export interface Loading<Value> {
  readonly pool: ConnectionPool
  readonly statement: string
  readonly load: Load<Value>
  readonly isolation?: Isolation | undefined
  /** Ends it: the connection is closed, and what comes late is dropped. */
  readonly signal?: AbortSignal | undefined
}

export interface ReplicaLoading<Value> extends Loading<Value> {
  /** Whether a replay position is enough. */
  reached(position: Position): boolean
  /** Called while it is not, and waits; resolves false to give up. */
  again(db: Connection, standing: Standing): Promise<boolean>
  /** Told where the server stands when it has answered for the first time. */
  answered?(standing: Standing | null): void
}

// READ COMMITTED: each statement has a snapshot of its own, while the transaction keeps a pooler from moving them to
// different servers. In REPEATABLE READ the rows would be older than a label read before them in the same transaction.
const BEGIN = 'begin isolation level read committed read only'
const BEGIN_SNAPSHOT = 'begin isolation level repeatable read read only'

export type ReplicaAnswer<Value> =
  | { readonly code: 'loaded'; readonly loaded: Loaded<Value> & { readonly label: Label } }
  /** It has not replayed far enough. */
  | { readonly code: 'lagging'; readonly position: Position }
  /** It is no streaming replica of the announced history just now, or a pooler went on to another server. */
  | { readonly code: 'unfit' }
  /** The app's load threw, and the server is well. */
  | { readonly code: 'failed'; readonly failure: LoadFailure }

/**
 * Loads from a replica (protocol 6.3). Its replay LSN is read in a statement of its own *before* the snapshot that
 * reads the rows: in the same statement it overclaims, because the function is evaluated after the snapshot. For a load
 * of one snapshot that statement comes before the transaction, whose first statement would take the snapshot; that both
 * met the same server is shown by the standing read after the rows.
 */
export function loadFromReplica<Value>(loading: ReplicaLoading<Value>): Promise<ReplicaAnswer<Value>> {
  const { pool, statement, isolation, signal } = loading
  return withConnection(
    pool,
    async (db) => {
      const before = await untilReached(db, loading)
      if (!isFit(before) || !loading.reached(before.position)) {
        if (isolation !== 'snapshot') await db.query('rollback')
        return isFit(before) ? { code: 'lagging', position: before.position } : { code: 'unfit' }
      }
      if (isolation === 'snapshot') await db.query(BEGIN_SNAPSHOT)
      const { value, failure } = await attempt(loading.load, db)
      signal?.throwIfAborted()
      if (failure) {
        if (await rolledBack(db, signal)) return { code: 'failed', failure }
        throw failure
      }
      const after = standingOf((await rowsOfEach<StandingRow>(db, [statement, 'commit']))[0]![0]!)
      if (!isFit(after) || after.server !== before.server) return { code: 'unfit' }
      const label = { low: before.position, high: after.reach }
      return { code: 'loaded', loaded: { value: value as Value, label, loadedAt: null, standing: after } }
    },
    signal,
  )
}

/** Where the replica stands once that is enough, or when it was given up; in a transaction, unless that comes later. */
async function untilReached(db: Connection, loading: ReplicaLoading<unknown>): Promise<Standing | null> {
  const { statement, reached } = loading
  // A snapshot's, too, is the first of two statements: a driver that cannot run two at once is found out outside the load.
  const first = loading.isolation === 'snapshot' ? ['select 1', statement] : [BEGIN, statement]
  let standing = standingOf((await rowsOfEach<StandingRow>(db, first))[1]![0]!)
  loading.answered?.(standing)
  while (isFit(standing) && !reached(standing.position) && (await loading.again(db, standing))) {
    standing = standingOf((await db.query<StandingRow>(statement)).rows[0]!)
  }
  return standing
}

function isFit(standing: Standing | null): standing is Standing & { reach: Position } {
  return standing?.role === 'replica' && standing.announced && standing.reach !== null
}

/**
 * Loads from the primary (protocol 6.3). No LSN that is read there can be trusted as the label's beginning: between
 * a commit's WAL record and its visibility the value is old and the LSN is new. The label begins at what the lease
 * granted instead; everything that covers was visible before the lease was given, so in one snapshot taken since, too.
 *
 * @param granted what the lease granted; null when there is none, and then there is no label
 * @param now ms since 1970
 */
export function loadFromPrimary<Value>(
  { pool, statement, load, isolation, signal }: Loading<Value>,
  granted: Position | null,
  now: () => number,
): Promise<Loaded<Value>> {
  return withConnection(
    pool,
    async (db) => {
      await db.query(isolation === 'snapshot' ? BEGIN_SNAPSHOT : BEGIN)
      const loadedAt = now()
      const { value, failure } = await attempt(load, db)
      if (failure) throw failure
      signal?.throwIfAborted()
      const standing = await standingAfter(db, statement)
      const labelled = granted !== null && isAnnouncedPrimary(standing) && standing.epoch === epochOf(granted)
      const label = labelled ? { low: granted, high: maxPosition(granted, standing.reach) } : null
      return { value: value as Value, label, loadedAt, standing }
    },
    signal,
  )
}

/** A missing epoch table must not cost the caller the rows that it has: the publisher has not been here yet. */
async function standingAfter(db: Connection, statement: string): Promise<Standing | null> {
  let row: StandingRow | undefined
  try {
    row = (await db.query<StandingRow>(statement)).rows[0]
  } catch (error) {
    await db.query('rollback')
    if (isUndefinedTable(error)) return null
    throw error
  }
  await db.query('commit')
  return row ? standingOf(row) : null
}

export function isAnnouncedPrimary(standing: Standing | null): standing is Standing & { reach: Position } {
  return standing?.role === 'primary' && standing.announced
}

function isUndefinedTable(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return code === '42P01' || code === '3F000'
}

type Attempted<Value> =
  | { readonly value: Value; readonly failure?: never }
  | { readonly value?: never; readonly failure: LoadFailure }

async function attempt<Value>(load: Load<Value>, db: Connection): Promise<Attempted<Value>> {
  try {
    return { value: await load(db) }
  } catch (cause) {
    return { failure: new LoadFailure('load threw', { cause }) }
  }
}
