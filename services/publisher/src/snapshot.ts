import { codedError } from '@tidemark/postgres'
import { type Lsn, parseLsn, roundDownInPageHeader, TidemarkError } from '@tidemark/protocol'
import type { Client } from 'pg'
import type { Snapshot } from './visibility-gate.ts'

/** What the primary said about itself at one moment. */
export interface Pulse {
  readonly snapshot: Snapshot
  /** Read before `insertLsn`: every commit that was visible before this time lies before `insertLsn`. */
  readonly timeUs: bigint
  /** Rounded down where it lies in a page header, as an idle walsender would say it. */
  readonly insertLsn: Lsn
  readonly flushLsn: Lsn
}

/**
 * One query for a whole batch. A target list is evaluated from left to right, so the clock is read before the LSN:
 * a commit that lies at or after the LSN had not happened, far less been visible, at that time. The flush LSN would
 * not do: an asynchronous commit is visible before it is flushed. The snapshot is the statement's own, older than
 * both.
 *
 * Only a primary can answer: on a standby the snapshot's list of running transactions is always empty.
 */
const PULSE = `
  select pg_current_snapshot()::text as snapshot,
         (extract(epoch from clock_timestamp()) * 1000000)::bigint::text as time_us,
         case when pg_is_in_recovery() then null else pg_current_wal_insert_lsn()::text end as insert_lsn,
         case when pg_is_in_recovery() then null else pg_current_wal_flush_lsn()::text end as flush_lsn`

/** @param segmentBytes the server's `wal_segment_size` */
export async function takePulse(client: Client, segmentBytes: number): Promise<Pulse> {
  const row = await ask(client)
  if (row.insert_lsn === null || row.flush_lsn === null) {
    throw new TidemarkError('SOURCE_IN_RECOVERY', 'the server that answers is a standby')
  }
  return {
    snapshot: parseSnapshot(row.snapshot),
    timeUs: BigInt(row.time_us),
    insertLsn: roundDownInPageHeader(parseLsn(row.insert_lsn), segmentBytes),
    flushLsn: parseLsn(row.flush_lsn),
  }
}

interface PulseRow {
  readonly snapshot: string
  readonly time_us: string
  readonly insert_lsn: string | null
  readonly flush_lsn: string | null
}

async function ask(client: Client): Promise<PulseRow> {
  try {
    const { rows } = await client.query<PulseRow>(PULSE)
    return rows[0]!
  } catch (error) {
    throw codedError(error, 'the primary did not say where it stands')
  }
}

/** Reads `xmin:xmax:xip,xip,…`. */
export function parseSnapshot(text: string): Snapshot {
  const [xmin, xmax, running] = text.split(':')
  if (!xmin || !xmax || running === undefined) throw new RangeError('not a snapshot')
  return {
    xmin: BigInt(xmin),
    xmax: BigInt(xmax),
    running: new Set(running === '' ? [] : running.split(',').map(BigInt)),
  }
}
