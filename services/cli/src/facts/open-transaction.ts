import type { Client } from 'pg'

/** A transaction that writes and has not ended. */
export interface OpenTransaction {
  /** `process 123`, or the name of a prepared one. */
  readonly who: string
  readonly isPrepared: boolean
  readonly ageMs: number
  /** What a person runs to end it. */
  readonly end: string
}

/** Only those that write: they alone hold a slot back. Of other roles' processes the role sees the age only as pg_read_all_stats. */
export async function readTransactions(client: Client): Promise<OpenTransaction[]> {
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
