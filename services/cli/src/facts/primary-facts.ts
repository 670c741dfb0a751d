import type { Client } from 'pg'

/** What the server that is asked says of itself. */
export interface PrimaryFacts {
  readonly version: number
  readonly inRecovery: boolean
  readonly database: string
  /** As Kafka's records carry it, unsigned. */
  readonly systemIdentifier: bigint
  readonly timeline: number
  /** Connections that stream, of every kind. */
  readonly senders: number
  /** Name → value in the setting's own unit; what this version does not have is absent. */
  readonly settings: Readonly<Record<string, string>>
}

const SETTINGS = [
  'wal_level',
  'fsync',
  'full_page_writes',
  'synchronous_commit',
  'max_wal_senders',
  'max_replication_slots',
  'wal_sender_timeout',
  'max_slot_wal_keep_size',
  'idle_replication_slot_timeout',
  'synchronized_standby_slots',
]

export async function readPrimary(client: Client): Promise<PrimaryFacts> {
  const { rows } = await client.query<PrimaryRow>(
    `select current_setting('server_version_num')::int as version,
            pg_is_in_recovery() as in_recovery,
            current_database() as database,
            (select system_identifier::text from pg_control_system()) as system_identifier,
            case when pg_is_in_recovery() then (select timeline_id from pg_control_checkpoint())
                 else ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int end as timeline,
            (select count(*)::int from pg_stat_replication) as senders,
            (select json_object_agg(name, setting) from pg_settings where name = any($1)) as settings`,
    [SETTINGS],
  )
  const row = rows[0]!
  return {
    version: row.version,
    inRecovery: row.in_recovery,
    database: row.database,
    systemIdentifier: BigInt.asUintN(64, BigInt(row.system_identifier)),
    timeline: row.timeline,
    senders: row.senders,
    settings: row.settings,
  }
}

interface PrimaryRow {
  readonly version: number
  readonly in_recovery: boolean
  readonly database: string
  readonly system_identifier: string
  readonly timeline: number
  readonly senders: number
  readonly settings: Record<string, string>
}
