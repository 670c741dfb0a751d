import type { Source } from '@tidemark/protocol'
import type { Client } from 'pg'
import { codedError } from './sql-error.ts'

/** How much log the server keeps for the slot, and how much more it is willing to. */
export interface SlotHealth {
  /** `lost` includes every other way in which the server invalidates a slot. */
  readonly status: 'reserved' | 'extended' | 'unreserved' | 'lost' | 'being-created'
  /** From the slot's restart position on: what lies on the server's disk for it. */
  readonly retainedBytes: number
  /** From its confirmed position on: what the publisher has not dealt with. */
  readonly unconfirmedBytes: number
  /** What may still be written before the slot is in danger; null where nothing limits it. */
  readonly safeBytes: number | null
  /** `max_slot_wal_keep_size`, null where nothing is set. */
  readonly limitBytes: number | null
  /** How long nobody has streamed, known from 17 on; null while somebody does. */
  readonly inactiveSeconds: number | null
  /** `idle_replication_slot_timeout`, from 18 on; null where nothing is set. */
  readonly inactiveLimitSeconds: number | null
}

// The slot's row as JSON: invalidation_reason and inactive_since exist from Postgres 17 on.
const QUERY = `
  select case when (slot ->> 'invalidation_reason') is not null then 'lost'
              when (slot ->> 'confirmed_flush_lsn') is null and (slot ->> 'wal_status') is distinct from 'lost'
                then 'being-created'
              else slot ->> 'wal_status' end as status,
         coalesce(lsn - (slot ->> 'restart_lsn')::pg_lsn, 0)::float8 as "retainedBytes",
         coalesce(lsn - (slot ->> 'confirmed_flush_lsn')::pg_lsn, 0)::float8 as "unconfirmedBytes",
         (slot ->> 'safe_wal_size')::float8 as "safeBytes",
         (select setting::float8 * 1024 * 1024 from pg_settings
           where name = 'max_slot_wal_keep_size' and setting <> '-1') as "limitBytes",
         extract(epoch from clock_timestamp() - (slot ->> 'inactive_since')::timestamptz)::float8 as "inactiveSeconds",
         (select setting::float8 from pg_settings
           where name = 'idle_replication_slot_timeout' and setting <> '0') as "inactiveLimitSeconds"
    from (select to_jsonb(s) as slot, pg_current_wal_insert_lsn() as lsn
            from pg_replication_slots s where slot_name = $1) as ours`

/** Undefined when there is no slot. Asked of the primary. */
export async function readSlotHealth(client: Client, source: Source): Promise<SlotHealth | undefined> {
  try {
    return (await client.query<SlotHealth>(QUERY, [source.slot])).rows[0]
  } catch (error) {
    throw codedError(error, 'the primary did not say how much it keeps for the slot')
  }
}
