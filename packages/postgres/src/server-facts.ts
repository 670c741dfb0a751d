import { type Lsn, parseLsn, TidemarkError } from '@tidemark/protocol'
import type { Client } from 'pg'

/** What a server says about itself that does not change while it runs as this primary. */
export interface ServerFacts {
  readonly version: number
  readonly segmentBytes: number
  readonly systemIdentifier: bigint
  readonly timeline: number
  /** How far its log was written when it was asked. */
  readonly insertLsn: Lsn
}

/** Throws SOURCE_IN_RECOVERY on a standby and WAL_LEVEL_NOT_LOGICAL where nothing can be decoded. */
export async function readServerFacts(client: Client): Promise<ServerFacts> {
  const { rows } = await client.query<Row>(`
    select pg_is_in_recovery() as in_recovery,
           current_setting('wal_level') as wal_level,
           current_setting('server_version_num')::int as version,
           (select setting::int from pg_settings where name = 'wal_segment_size') as segment_bytes,
           (select system_identifier::text from pg_control_system()) as system_identifier,
           lsn::text as insert_lsn, pg_walfile_name(lsn) as wal_file
      from (select case when pg_is_in_recovery() then null else pg_current_wal_insert_lsn() end as lsn) as wal`)
  const row = rows[0]!
  if (row.in_recovery || row.wal_file === null || row.insert_lsn === null) {
    throw new TidemarkError('SOURCE_IN_RECOVERY', 'the server that answers is a standby', {
      mend: 'Point the source URL at the primary',
    })
  }
  if (row.wal_level !== 'logical') {
    throw new TidemarkError('WAL_LEVEL_NOT_LOGICAL', `wal_level is ${row.wal_level}`, {
      mend: 'Run: ALTER SYSTEM SET wal_level = logical, and restart the server',
    })
  }
  return {
    version: row.version,
    segmentBytes: row.segment_bytes,
    // pg_control_system gives it as a signed number; Kafka's records carry it unsigned.
    systemIdentifier: BigInt.asUintN(64, BigInt(row.system_identifier)),
    timeline: Number.parseInt(row.wal_file.slice(0, 8), 16),
    insertLsn: parseLsn(row.insert_lsn),
  }
}

interface Row {
  readonly in_recovery: boolean
  readonly wal_level: string
  readonly version: number
  readonly segment_bytes: number
  readonly system_identifier: string
  readonly insert_lsn: string | null
  readonly wal_file: string | null
}
