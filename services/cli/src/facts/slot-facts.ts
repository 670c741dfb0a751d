import type { Client } from 'pg'

/** A replication slot of the server, the source's or another. */
export interface SlotFacts {
  readonly name: string
  readonly type: 'logical' | 'physical'
  readonly plugin: string | null
  readonly database: string | null
  readonly isTemporary: boolean
  readonly activePid: number | null
  readonly application: string | null
  readonly walStatus: string | null
  readonly invalidation: string | null
  readonly confirmed: string | null
  /** From what it keeps to where the log ends; null when it keeps nothing. */
  readonly retainedBytes: number | null
  /** From what was confirmed to where the log ends. */
  readonly behindBytes: number | null
  /** What may be written before it is lost; null when there is no limit. */
  readonly safeBytes: number | null
  /** From 17 on; null when it is in use. */
  readonly inactiveMs: number | null
  /** From 17 on. */
  readonly failover: boolean | null
}

export async function readSlots(client: Client): Promise<SlotFacts[]> {
  // Whole rows as JSON: what a version does not have is absent.
  const { rows } = await client.query<SlotRow>(
    `select to_jsonb(s) as slot, a.application_name as application,
            pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn)::float8 as retained,
            pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.confirmed_flush_lsn)::float8 as behind
       from pg_replication_slots s left join pg_stat_activity a on a.pid = s.active_pid
      order by s.slot_name`,
  )
  return rows.map(({ slot, application, retained, behind }) => ({
    name: slot.slot_name,
    type: slot.slot_type,
    plugin: slot.plugin,
    database: slot.database,
    isTemporary: slot.temporary,
    activePid: slot.active_pid,
    application,
    walStatus: slot.wal_status,
    invalidation: slot.invalidation_reason ?? (slot.conflicting ? 'conflict' : null),
    confirmed: slot.confirmed_flush_lsn,
    retainedBytes: retained,
    behindBytes: behind,
    safeBytes: slot.safe_wal_size,
    inactiveMs: slot.inactive_since ? Date.now() - Date.parse(slot.inactive_since) : null,
    failover: slot.failover ?? null,
  }))
}

interface SlotRow {
  readonly slot: {
    readonly slot_name: string
    readonly slot_type: 'logical' | 'physical'
    readonly plugin: string | null
    readonly database: string | null
    readonly temporary: boolean
    readonly active_pid: number | null
    readonly wal_status: string | null
    readonly confirmed_flush_lsn: string | null
    readonly safe_wal_size: number | null
    readonly conflicting?: boolean | null
    readonly invalidation_reason?: string | null
    readonly inactive_since?: string | null
    readonly failover?: boolean
  }
  readonly application: string | null
  readonly retained: number | null
  readonly behind: number | null
}
