import { formatLsn, type Lsn, parseLsn, type Source, TidemarkError } from '@tidemark/protocol'
import type { Client } from 'pg'
import { codedError } from './sql-error.ts'

/** What `pg_replication_slots` says of our slot. */
export interface SlotState {
  /** Null until the slot has found a consistent point. */
  readonly confirmed: Lsn | null
  /** Whether the server has given it up, or it was made to decode in another way than ours. */
  readonly lost: boolean
  readonly activePid: number | null
}

/** The slot's state, undefined when there is none. Throws SLOT_MISMATCH when the name is another's. */
export async function readSlot(client: Client, source: Source): Promise<SlotState | undefined> {
  // Whole rows as JSON: invalidation_reason exists from Postgres 17 on, conflicting from 16 on.
  const { rows } = await client.query<{ slot: SlotRow; database: string }>(
    `select to_jsonb(s) as slot, current_database() as database from pg_replication_slots s where slot_name = $1`,
    [source.slot],
  )
  const row = rows[0]
  if (!row) return undefined
  const { slot, database } = row
  if (slot.plugin !== 'pgoutput' || slot.database !== database || slot.temporary) {
    throw new TidemarkError('SLOT_MISMATCH', `slot ${source.slot} is ${describe(slot)}, not ours`, {
      mend: `If it is nobody's, run: SELECT pg_drop_replication_slot('${source.slot}')`,
    })
  }
  return {
    confirmed: slot.confirmed_flush_lsn === null ? null : parseLsn(slot.confirmed_flush_lsn),
    lost: isGivenUp(slot) || slot.two_phase,
    activePid: slot.active_pid,
  }
}

/** restart_lsn alone does not tell: it is not always null when the slot is lost. */
function isGivenUp(slot: SlotRow): boolean {
  return slot.wal_status === 'lost' || (slot.invalidation_reason ?? null) !== null || slot.conflicting === true
}

interface SlotRow {
  readonly plugin: string | null
  readonly database: string | null
  readonly temporary: boolean
  /** It then sends prepared transactions in messages that our version of the protocol does not know. */
  readonly two_phase: boolean
  readonly active_pid: number | null
  readonly confirmed_flush_lsn: string | null
  readonly wal_status: string | null
  readonly conflicting?: boolean | null
  readonly invalidation_reason?: string | null
}

function describe(slot: SlotRow): string {
  if (slot.plugin === null) return 'physical'
  return `${slot.temporary ? 'temporary, ' : ''}of plugin ${slot.plugin} in database ${slot.database}`
}

/**
 * Drops the slot if there is one and creates it anew. Waits for every transaction that is running, on the server's
 * side; throws SLOT_ACTIVE when somebody streams from the old one.
 *
 * @returns its consistent point: every transaction that commits from there on will be delivered
 */
export async function recreateSlot(client: Client, source: Source, serverVersion: number): Promise<Lsn> {
  // From 17 on a standby can keep a copy, if it is told to; the flag costs nothing where none does.
  const failover = serverVersion >= 170_000 ? ', failover => true' : ''
  try {
    await client.query(`select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1`, [
      source.slot,
    ])
    const { rows } = await client.query<{ lsn: string }>(
      `select lsn::text from pg_create_logical_replication_slot($1, 'pgoutput'${failover})`,
      [source.slot],
    )
    return parseLsn(rows[0]!.lsn)
  } catch (error) {
    throw codedError(error, `slot ${source.slot} cannot be created`)
  }
}

/**
 * To be asked once the stream has begun, from when on nobody else can drop or move the slot. It may have been dropped
 * and made anew since it was read: Postgres then begins at the new one's position, without a word. Throws SLOT_LOST.
 */
export async function checkStreamedSlot(client: Client, source: Source, from: Lsn): Promise<void> {
  const slot = await readSlot(client, source)
  if (slot && !slot.lost && slot.activePid !== null && slot.confirmed === from) return
  const stands = slot?.confirmed ? `stands at ${formatLsn(slot.confirmed)}` : 'has no position'
  throw new TidemarkError('SLOT_LOST', `slot ${source.slot} ${stands}: its stream was to begin at ${formatLsn(from)}`)
}

/** Ends the server's half of a connection of ours that broke: it would hold the slot until its own timeout. */
export async function endBackend(client: Client, source: Source, pid: number): Promise<void> {
  await client.query(
    `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active_pid = $2`,
    [source.slot, pid],
  )
}
