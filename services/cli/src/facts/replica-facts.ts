import { type Epoch, newestEpoch } from '@tidemark/postgres'
import type { Source } from '@tidemark/protocol'
import type { Client } from 'pg'

/** What a replica says of itself. */
export interface ReplicaFacts {
  readonly inRecovery: boolean
  readonly systemIdentifier: bigint
  readonly replayed: string | null
  /** Since the last transaction that it replayed; null when it has replayed none, or all that it received. */
  readonly delayMs: number | null
  readonly isPaused: boolean
  /** Whether it has a connection to a server that it receives from. */
  readonly isReceiving: boolean
  /** Who asks. */
  readonly role: string
  /** Whether the role, which lacks pg_read_all_stats, does not see on which timeline it receives. */
  readonly hidesTimeline: boolean
  /** Of its `primary_conninfo`, which may hold a password: whether it names a database. Null where the role may not see. */
  readonly namesDatabase: boolean | null
  /** Name → value; what the role may not see, or the version does not have, is absent. */
  readonly settings: Readonly<Record<string, string>>
  readonly epoch: 'no-table' | Epoch | undefined
}

const SETTINGS = ['hot_standby_feedback', 'sync_replication_slots', 'primary_slot_name']

export async function readReplica(client: Client, source: Source): Promise<ReplicaFacts> {
  const { rows } = await client.query<ReplicaRow>(
    `select pg_is_in_recovery() as in_recovery,
            (select system_identifier::text from pg_control_system()) as system_identifier,
            pg_last_wal_replay_lsn()::text as replayed,
            case when pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()
                 then extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 * 1000 end as delay_ms,
            pg_is_in_recovery() and pg_is_wal_replay_paused() as is_paused,
            exists (select from pg_stat_wal_receiver) as is_receiving,
            exists (select from pg_stat_wal_receiver where received_tli is null) as hides_timeline,
            current_user::text as role,
            (select setting ~ 'dbname *=' from pg_settings where name = 'primary_conninfo') as names_database,
            (select json_object_agg(name, setting) from pg_settings where name = any($1)) as settings,
            exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = 'tidemark' and c.relname = 'epoch'
                       and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')) as has_epochs`,
    [SETTINGS],
  )
  const row = rows[0]!
  return {
    inRecovery: row.in_recovery,
    systemIdentifier: BigInt.asUintN(64, BigInt(row.system_identifier)),
    replayed: row.replayed,
    delayMs: row.delay_ms,
    isPaused: row.is_paused,
    isReceiving: row.is_receiving,
    role: row.role,
    hidesTimeline: row.hides_timeline,
    namesDatabase: row.names_database,
    settings: row.settings,
    epoch: row.has_epochs ? await newestEpoch(client, source.name) : 'no-table',
  }
}

interface ReplicaRow {
  readonly in_recovery: boolean
  readonly system_identifier: string
  readonly replayed: string | null
  readonly delay_ms: number | null
  readonly is_paused: boolean
  readonly is_receiving: boolean
  readonly role: string
  readonly hides_timeline: boolean
  readonly names_database: boolean | null
  readonly settings: Record<string, string>
  readonly has_epochs: boolean
}
