import { lsnOf, type Position, parseLsn, position, roundDownInPageHeader } from '@tidemark/protocol'

/** Where a server stands in the source's history, as one statement on one connection read it. */
export interface Standing {
  readonly role: 'primary' | 'replica'
  /** The newest epoch in the server's own epoch table, which physical replication carries along. */
  readonly epoch: number
  readonly systemIdentifier: string
  /**
   * Whether the server's timeline is that of its newest epoch. If not it was promoted and the publisher has yet to
   * say so: its LSNs may repeat those of a lost history, and nothing loaded there may be cached.
   */
  readonly announced: boolean
  /** A replica's replay LSN, a primary's insert LSN. */
  readonly position: Position
  /** Beyond every commit that a statement before this one can have seen; null when a replica cannot say. */
  readonly reach: Position | null
  /** Of the server's software, as `server_version_num` has it. */
  readonly version: number
  /** Tells this server, since its start, from any other: a pooler may send two transactions to two servers. */
  readonly server: string
}

export interface StandingRow {
  readonly recovering: boolean
  readonly insert_lsn: string | null
  readonly replay_lsn: string | null
  readonly receive_lsn: string | null
  readonly segment_bytes: string
  readonly timeline: number | null
  readonly epoch: number | null
  readonly epoch_timeline: number | null
  readonly system_identifier: string | null
  readonly version: number
  readonly server: string
}

/**
 * One statement for both roles. A standby cannot name its WAL file, so its timeline is the newer of the walreceiver's
 * (which a role without pg_read_all_stats sees as null) and the last restart point's.
 *
 * @param sourceName the source's name; its schema allows only a-z, 0-9, _ and -, so it can stand in a literal
 */
export function standingStatement(sourceName: string): string {
  return `select s.recovering,
  case when not s.recovering then pg_current_wal_insert_lsn()::text end as insert_lsn,
  case when s.recovering then pg_last_wal_replay_lsn()::text end as replay_lsn,
  case when s.recovering then pg_last_wal_receive_lsn()::text end as receive_lsn,
  pg_size_bytes(current_setting('wal_segment_size'))::text as segment_bytes,
  case when s.recovering
    then greatest((select timeline_id from pg_control_checkpoint()), (select received_tli from pg_stat_wal_receiver))
    else ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int
  end as timeline,
  current_setting('server_version_num')::int as version,
  concat_ws(' ', extract(epoch from pg_postmaster_start_time()), inet_server_addr(), inet_server_port()) as server,
  e.epoch, e.timeline as epoch_timeline, e.system_identifier
from (select pg_is_in_recovery() as recovering) s
left join (
  select epoch, timeline, system_identifier::text from tidemark.epoch
  where source = '${sourceName}' and start_lsn is not null order by epoch desc limit 1
) e on true`
}

/** Reads a row of the statement; null when the publisher has recorded no epoch there. */
export function standingOf(row: StandingRow): Standing | null {
  const { epoch, system_identifier: systemIdentifier, version, server } = row
  if (epoch === null || systemIdentifier === null) return null
  const at = row.recovering ? row.replay_lsn : row.insert_lsn
  if (at === null) return null
  const segmentBytes = Number(row.segment_bytes)
  const here = position(epoch, roundDownInPageHeader(parseLsn(at), segmentBytes))
  const announced = row.timeline === row.epoch_timeline
  const common = { epoch, systemIdentifier, announced, position: here, version, server }
  if (!row.recovering) return { ...common, role: 'primary', reach: here }
  if (row.receive_lsn === null) return { ...common, role: 'replica', reach: null }
  // A commit becomes visible an instant before the replay LSN moves past it; what was received lies beyond both.
  const received = position(epoch, parseLsn(row.receive_lsn))
  return { ...common, role: 'replica', reach: received > here ? received : here }
}

/**
 * A position read on a server, as a session keeps it. Of one that was promoted and not yet announced it belongs to the
 * next epoch, so that nothing of this one satisfies it: the LSNs of the lost history repeat there (protocol 6.6).
 */
export function forSession({ announced, epoch }: Standing, at: Position): Position {
  return announced ? at : position(epoch + 1, lsnOf(at))
}
