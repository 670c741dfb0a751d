import type { Client } from 'pg'

/** `session_replication_role` set for a role, a database, a role in a database, or, with neither, for all. */
export interface Override {
  readonly role: string | null
  readonly database: string | null
  readonly value: string
}

export async function readOverrides(client: Client): Promise<Override[]> {
  const { rows } = await client.query<Override>(
    `select r.rolname as role, d.datname as database, split_part(setting, '=', 2) as value
       from pg_db_role_setting s cross join unnest(s.setconfig) as setting
       left join pg_roles r on r.oid = s.setrole
       left join pg_database d on d.oid = s.setdatabase
      where setting like 'session\\_replication\\_role=%'
        and (s.setdatabase = 0 or d.datname = current_database())
     union all
     select null, null, setting from pg_settings
      where name = 'session_replication_role' and source in ('configuration file', 'command line', 'environment variable')`,
  )
  return rows.filter(({ value }) => value !== 'origin')
}
