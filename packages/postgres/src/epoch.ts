import { formatLsn, type Lsn, parseLsn, TidemarkError } from '@tidemark/protocol'
import type { Client } from 'pg'
import { INVALIDATE_FUNCTION, INVALIDATE_SIGNATURE } from './invalidate-function.ts'
import { codedError, sqlState } from './sql-error.ts'

/** One history of a source, as recorded in the database, which physical replication carries along. */
export interface Epoch {
  readonly number: number
  readonly systemIdentifier: bigint
  readonly timeline: number
  /** Where its stream begins; null while the slot that decides it is being made. */
  readonly start: Lsn | null
  readonly slot: string
  /** How keys were made when it was opened, see `checkTables`; null once it may not be continued. */
  readonly shape: string | null
}

export interface OpenEpoch extends Epoch {
  readonly start: Lsn
}

/** As statements: the table, for whoever brings the source into being. */
export const EPOCH_TABLE = `
  create schema if not exists tidemark;
  create table if not exists tidemark.epoch (
    source text not null,
    epoch integer not null check (epoch > 0),
    system_identifier text not null,
    timeline integer not null,
    start_lsn pg_lsn,
    slot text not null,
    shape text,
    opened_at timestamptz not null default now(),
    primary key (source, epoch));
  alter table tidemark.epoch add column if not exists shape text;`

/**
 * As statements: the schema with all that is in it. Every app reads the table; where roles are to see less, a DBA runs
 * what `leastPrivilege` gives instead.
 */
export const TIDEMARK_SCHEMA = `${EPOCH_TABLE}${INVALIDATE_FUNCTION}
  grant usage on schema tidemark to public;
  grant select on tidemark.epoch to public;`

const UNIQUE_VIOLATION = '23505'

/** Creates the epoch table and what is beside it unless it is there: the role needs no right to create once it is. */
export async function ensureEpochTable(client: Client): Promise<void> {
  const { rows } = await client.query<{ ready: boolean }>(
    `select to_regprocedure($1) is not null
        and exists (select from pg_attribute where attrelid = to_regclass('tidemark.epoch') and attname = 'shape')
         as ready`,
    [INVALIDATE_SIGNATURE],
  )
  if (rows[0]?.ready) return
  try {
    await client.query(TIDEMARK_SCHEMA)
  } catch (error) {
    throw codedError(error, 'tidemark.epoch and tidemark.invalidate cannot be created')
  }
}

export async function newestEpoch(client: Client, source: string): Promise<Epoch | undefined> {
  const { rows } = await client.query<EpochRow>(
    `select epoch, system_identifier, timeline, start_lsn::text, slot, shape
       from tidemark.epoch where source = $1 order by epoch desc limit 1`,
    [source],
  )
  return rows[0] && fromRow(rows[0])
}

interface EpochRow {
  readonly epoch: number
  readonly system_identifier: string
  readonly timeline: number
  readonly start_lsn: string | null
  readonly slot: string
  readonly shape: string | null
}

function fromRow(row: EpochRow): Epoch {
  return {
    number: row.epoch,
    systemIdentifier: BigInt(row.system_identifier),
    timeline: row.timeline,
    start: row.start_lsn === null ? null : parseLsn(row.start_lsn),
    slot: row.slot,
    shape: row.shape,
  }
}

/**
 * Records that an epoch is being opened. The primary key keeps two publishers from choosing one number; the row is there
 * before Kafka hears of the number, so that a crash in between is seen at the next start, and has no start before nobody
 * else can have the number: readers pass over it until then. Returns once the row is visible, which with a synchronous
 * standby that is away takes until it is back. Throws SLOT_ACTIVE when another publisher was quicker.
 */
export async function recordEpoch(client: Client, source: string, epoch: Epoch): Promise<void> {
  try {
    await client.query(FLUSHED)
    await client.query(
      `insert into tidemark.epoch (source, epoch, system_identifier, timeline, start_lsn, slot, shape)
         values ($1, $2, $3, $4, $5::text::pg_lsn, $6, $7)`,
      [
        source,
        epoch.number,
        epoch.systemIdentifier.toString(),
        epoch.timeline,
        lsnText(epoch.start),
        epoch.slot,
        epoch.shape,
      ],
    )
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw codedError(error, 'the epoch cannot be recorded')
    throw new TidemarkError('SLOT_ACTIVE', `another publisher opened epoch ${epoch.number}`, { cause: error })
  }
}

/** A number that Kafka has seen may not be lost in a crash of the server: it would take us for abandoned. */
const FLUSHED = `select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'`

/** Records where the epoch starts, once. Throws SLOT_ACTIVE when another publisher did. */
export async function recordStart(client: Client, source: string, number: number, start: Lsn): Promise<void> {
  const { rowCount } = await client.query(
    'update tidemark.epoch set start_lsn = $3::text::pg_lsn where source = $1 and epoch = $2 and start_lsn is null',
    [source, number, lsnText(start)],
  )
  if (rowCount === 1) return
  throw new TidemarkError('SLOT_ACTIVE', `another publisher finished opening epoch ${number}`)
}

/** Takes back an epoch whose number another server has taken. It was not finished: nobody has seen it. */
export async function withdrawEpoch(client: Client, source: string, number: number): Promise<void> {
  await client.query('delete from tidemark.epoch where source = $1 and epoch = $2 and start_lsn is null', [
    source,
    number,
  ])
}

/**
 * Makes the next opening start a new epoch, whatever else speaks for continuing: to be called before anything is
 * changed, or refused, that the stream rested on. It outlives a crash, which a flag of ours would not.
 */
export async function distrustNewestEpoch(client: Client, source: string): Promise<void> {
  await client.query(
    `update tidemark.epoch set shape = null
      where source = $1 and shape is not null
        and epoch = (select max(epoch) from tidemark.epoch where source = $1)`,
    [source],
  )
}

function lsnText(lsn: Lsn | null): string | null {
  return lsn === null ? null : formatLsn(lsn)
}
