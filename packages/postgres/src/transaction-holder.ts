import type { Client } from 'pg'

/**
 * Who keeps a transaction from ending: a session, or whoever prepared it. Never its statement, which may hold values.
 * What the role may not see of other roles' sessions is null: state, wait and age need `pg_read_all_stats`.
 */
export interface TransactionHolder {
  readonly xid: number
  /** Null for a prepared transaction, which needs no session any more. */
  readonly pid: number | null
  readonly application: string | null
  readonly state: string | null
  readonly waitsFor: string | null
  readonly ageSeconds: number | null
  /** Of a prepared transaction: the name to commit or roll it back by. */
  readonly prepared: string | null
}

const HOLDERS = `
  select backend_xid as xid, pid, application_name as application, state,
         wait_event_type || ': ' || wait_event as waits_for, xact_start as since, null as prepared
    from pg_stat_activity where backend_xid is not null
  union all
  select transaction, null, null, 'prepared', null, prepared, gid from pg_prepared_xacts`

const COLUMNS = `
  xid::text::bigint::float8 as xid, pid, application, state, waits_for as "waitsFor",
  extract(epoch from clock_timestamp() - since)::float8 as "ageSeconds", prepared`

/** @param xid the low 32 bits of the transaction's id; undefined when nobody is seen to hold it */
export async function holderOf(client: Client, xid: number): Promise<TransactionHolder | undefined> {
  const { rows } = await client.query<TransactionHolder>(
    `select ${COLUMNS} from (${HOLDERS}) as holder where xid = $1::text::xid`,
    [xid],
  )
  return rows[0]
}

/** Of all transactions that write, in any database, the one that began first. */
export async function oldestHolder(client: Client): Promise<TransactionHolder | undefined> {
  const { rows } = await client.query<TransactionHolder>(
    `select ${COLUMNS} from (${HOLDERS}) as holder order by age(xid) desc limit 1`,
  )
  return rows[0]
}
