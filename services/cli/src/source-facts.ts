import {
  checkTables,
  type Epoch,
  inspectPublication,
  newestEpoch,
  type PublicationMistake,
  tablesOf,
} from '@tidemark/postgres'
import { isTidemarkError, type Source } from '@tidemark/protocol'
import type { Client } from 'pg'

/** Everything about a source that a finding, or a line of the status, is made of. */
export interface SourceFacts {
  readonly server: PrimaryFacts
  /** The rest is undefined on a standby: it cannot be asked there. */
  readonly grants: GrantFacts
  readonly publication: 'missing' | readonly PublicationMistake[]
  /** Why the publisher would refuse the tables, in its own words; undefined when it would not. */
  readonly refusal: string | undefined
  readonly relations: readonly RelationFacts[]
  readonly overrides: readonly Override[]
  readonly slots: readonly SlotFacts[]
  /** `no-table` also when the role may not read it. */
  readonly epoch: 'no-table' | Epoch | undefined
  readonly transactions: readonly OpenTransaction[]
}

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

export interface GrantFacts {
  readonly role: string
  readonly isSuperuser: boolean
  readonly mayReplicate: boolean
  /** Schemas of the source's tables that the role may not use. */
  readonly closedSchemas: readonly string[]
  readonly hasEpochTable: boolean
  /** The function for what no table shows. */
  readonly hasInvalidate: boolean
  /** What it lacks on `tidemark.epoch`: `select`, `insert`, `delete`, `update`, or usage of the schema. */
  readonly lacksOnEpoch: readonly string[]
}

export interface RelationFacts {
  readonly table: string
  /** r, p, v, m, f as in pg_class; undefined when there is none. */
  readonly kind: string | undefined
  /** p, u, t as in pg_class. */
  readonly persistence: string | undefined
  /** Its partitions at every level that hold rows. */
  readonly leaves: readonly { readonly name: string; readonly kind: string; readonly persistence: string }[]
  /** Tables that inherit from it without being partitions. */
  readonly heirs: readonly string[]
}

/** `session_replication_role` set for a role, a database, or a role in a database. */
export interface Override {
  readonly role: string | null
  readonly database: string | null
  readonly value: string
}

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

export interface OpenTransaction {
  /** `process 123`, or the name of a prepared one. */
  readonly who: string
  readonly isPrepared: boolean
  readonly ageMs: number
  /** What a person runs to end it. */
  readonly end: string
}

/** Reads all of it; seven queries. Throws what the driver does: it has no answer to give in its place. */
export async function readSource(client: Client, source: Source): Promise<SourceFacts> {
  const server = await readPrimary(client)
  const grants = await readGrants(client, source)
  if (server.inRecovery) return { server, grants, ...NOTHING_ELSE }
  const mayReadEpochs = grants.hasEpochTable && !grants.lacksOnEpoch.some((grant) => READING.includes(grant))
  return {
    server,
    grants,
    publication: await inspectPublication(client, source),
    refusal: grants.closedSchemas.length > 0 ? undefined : await tablesRefused(client, source),
    relations: await readRelations(client, source),
    overrides: await readOverrides(client),
    slots: await readSlots(client),
    epoch: mayReadEpochs ? await newestEpoch(client, source.name) : 'no-table',
    transactions: await readTransactions(client),
  }
}

const READING = ['usage of the schema', 'select']

const NOTHING_ELSE = {
  publication: [],
  refusal: undefined,
  relations: [],
  overrides: [],
  slots: [],
  epoch: 'no-table',
  transactions: [],
} as const

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

async function readPrimary(client: Client): Promise<PrimaryFacts> {
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

async function readGrants(client: Client, source: Source): Promise<GrantFacts> {
  // By oid throughout: a name in a schema that the role may not use is an error, not an answer.
  const { rows } = await client.query<GrantFacts>(
    `with epoch as (
       select c.oid, n.oid as schema from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'tidemark' and c.relname = 'epoch')
     select r.rolname as role, r.rolsuper as "isSuperuser", r.rolreplication as "mayReplicate",
            array(select nspname::text from pg_namespace
                   where nspname = any($1) and not has_schema_privilege(oid, 'usage')) as "closedSchemas",
            exists (select from epoch) as "hasEpochTable",
            exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                     where n.nspname = 'tidemark' and p.proname = 'invalidate') as "hasInvalidate",
            array(select 'usage of the schema' from epoch where not has_schema_privilege(schema, 'usage')
                  union all select 'select' from epoch where not has_table_privilege(oid, 'select')
                  union all select 'insert' from epoch where not has_table_privilege(oid, 'insert')
                  union all select 'delete' from epoch where not has_table_privilege(oid, 'delete')
                  union all select 'update' from epoch
                   where not (has_column_privilege(oid, 'start_lsn', 'update')
                              and has_column_privilege(oid, 'shape', 'update')))
              as "lacksOnEpoch"
       from pg_roles r where r.rolname = current_user`,
    [[...new Set(tablesOf(source).map((table) => namesOf(table).schema))]],
  )
  return rows[0]!
}

async function tablesRefused(client: Client, source: Source): Promise<string | undefined> {
  try {
    await checkTables(client, source)
    return undefined
  } catch (error) {
    if (isTidemarkError(error)) return error.message
    throw error
  }
}

async function readRelations(client: Client, source: Source): Promise<RelationFacts[]> {
  const tables = tablesOf(source)
  const { rows } = await client.query<Omit<RelationFacts, 'table'>>(
    `select c.relkind as kind, c.relpersistence as persistence,
            coalesce((select json_agg(json_build_object('name', l.oid::regclass::text, 'kind', l.relkind, 'persistence', l.relpersistence))
                        from pg_partition_tree(c.oid) p join pg_class l on l.oid = p.relid
                       where c.relkind = 'p' and p.isleaf), '[]') as leaves,
            array(select i.inhrelid::regclass::text from pg_inherits i join pg_class h on h.oid = i.inhrelid
                   where i.inhparent = c.oid and not h.relispartition) as heirs
       from unnest($1::text[], $2::text[]) with ordinality as t(schema, name, at)
       left join pg_namespace n on n.nspname = t.schema
       left join pg_class c on c.relnamespace = n.oid and c.relname = t.name
      order by t.at`,
    [tables.map((t) => namesOf(t).schema), tables.map((t) => namesOf(t).name)],
  )
  return rows.map((row, at) => ({
    ...row,
    kind: row.kind ?? undefined,
    persistence: row.persistence ?? undefined,
    table: tables[at]!,
  }))
}

/** The schema is what comes before the first dot. */
function namesOf(table: string): { readonly schema: string; readonly name: string } {
  const dot = table.indexOf('.')
  return { schema: table.slice(0, dot), name: table.slice(dot + 1) }
}

async function readOverrides(client: Client): Promise<Override[]> {
  const { rows } = await client.query<Override>(
    `select r.rolname as role, d.datname as database, split_part(setting, '=', 2) as value
       from pg_db_role_setting s cross join unnest(s.setconfig) as setting
       left join pg_roles r on r.oid = s.setrole
       left join pg_database d on d.oid = s.setdatabase
      where setting like 'session\\_replication\\_role=%'
        and (s.setdatabase = 0 or d.datname = current_database())`,
  )
  return rows.filter(({ value }) => value !== 'origin')
}

async function readSlots(client: Client): Promise<SlotFacts[]> {
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

/** Only those that write: they alone hold a slot back. Of other roles' processes the role sees the age only as pg_read_all_stats. */
async function readTransactions(client: Client): Promise<OpenTransaction[]> {
  const { rows } = await client.query<OpenTransaction>(
    `select format('process %s', pid) as who, false as "isPrepared",
            format('SELECT pg_terminate_backend(%s)', pid) as end,
            extract(epoch from clock_timestamp() - xact_start)::float8 * 1000 as "ageMs"
       from pg_stat_activity where backend_xid is not null and xact_start is not null and pid <> pg_backend_pid()
     union all
     select format('prepared transaction %s', gid), true, format('ROLLBACK PREPARED %L', gid),
            extract(epoch from clock_timestamp() - prepared)::float8 * 1000
       from pg_prepared_xacts`,
  )
  return rows
}
