import { tablesOf } from '@tidemark/postgres'
import type { Source } from '@tidemark/protocol'
import type { Client } from 'pg'

/** What the role that asks may do. */
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

export async function readGrants(client: Client, source: Source): Promise<GrantFacts> {
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
    [[...new Set(tablesOf(source).map((table) => table.slice(0, table.indexOf('.'))))]],
  )
  return rows[0]!
}
