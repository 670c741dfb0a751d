import type { Label } from '@tidemark/guard'
import { epochOf, maxPosition, type Position } from '@tidemark/protocol'
import { type Connection, type ConnectionPool, rowsOfStatement, withConnection } from './database.ts'
import { type Standing, type StandingRow, standingOf } from './standing.ts'

export type Load<Value> = (db: Connection) => Promise<Value>

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

// READ COMMITTED: each statement has a snapshot of its own, while the transaction keeps a pooler from moving them to
// different servers. In REPEATABLE READ the rows would be older than a label read before them.
const BEGIN = 'begin isolation level read committed read only'

export type ReplicaAnswer<Value> =
  | { readonly code: 'loaded'; readonly loaded: Loaded<Value> & { readonly label: Label } }
  /** It has not replayed far enough. */
  | { readonly code: 'lagging'; readonly position: Position }
  /** It is no streaming replica of the announced history just now. */
  | { readonly code: 'unfit' }

/**
 * Loads from a replica (protocol 6.3). Its replay LSN is read in a statement of its own *before* the snapshot that
 * reads the rows: in the same statement it overclaims, because the function is evaluated after the snapshot.
 *
 * @param reached whether a replay position is enough
 * @param again called while it is not; resolves false to give up
 */
export function loadFromReplica<Value>(
  pool: ConnectionPool,
  statement: string,
  load: Load<Value>,
  reached: (position: Position) => boolean,
  again: () => Promise<boolean>,
): Promise<ReplicaAnswer<Value>> {
  return withConnection(pool, async (db) => {
    let before = standingOf((await rowsOfStatement<StandingRow>(db, `${BEGIN}; ${statement}`, 1))[0]!)
    while (isFit(before) && !reached(before.position) && (await again())) {
      before = standingOf((await db.query<StandingRow>(statement)).rows[0]!)
    }
    if (!isFit(before) || !reached(before.position)) {
      await db.query('rollback')
      return isFit(before) ? { code: 'lagging', position: before.position } : { code: 'unfit' }
    }
    const value = await attempt(load, db)
    const after = standingOf((await rowsOfStatement<StandingRow>(db, `${statement}; commit`, 0))[0]!)
    if (!isFit(after)) return { code: 'unfit' }
    return {
      code: 'loaded',
      loaded: { value, label: { low: before.position, high: after.reach }, loadedAt: null, standing: after },
    }
  })
}

function isFit(standing: Standing | null): standing is Standing & { reach: Position } {
  return standing?.role === 'replica' && standing.announced && standing.reach !== null
}

/**
 * Loads from the primary (protocol 6.3). No LSN that is read there can be trusted as the label's beginning: between
 * a commit's WAL record and its visibility the value is old and the LSN is new. The label begins at what the lease
 * granted instead; everything that covers was visible before the lease was given.
 *
 * @param granted what the lease granted; null when there is none, and then there is no label
 * @param now ms since 1970
 */
export function loadFromPrimary<Value>(
  pool: ConnectionPool,
  statement: string,
  load: Load<Value>,
  granted: Position | null,
  now: () => number,
): Promise<Loaded<Value>> {
  return withConnection(pool, async (db) => {
    await db.query(BEGIN)
    const loadedAt = now()
    const value = await attempt(load, db)
    const standing = await standingAfter(db, statement)
    const labelled = granted !== null && isAnnouncedPrimary(standing) && standing.epoch === epochOf(granted)
    const label = labelled ? { low: granted, high: maxPosition(granted, standing.reach) } : null
    return { value, label, loadedAt, standing }
  })
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

async function attempt<Value>(load: Load<Value>, db: Connection): Promise<Value> {
  try {
    return await load(db)
  } catch (cause) {
    throw new LoadFailure('load threw', { cause })
  }
}
