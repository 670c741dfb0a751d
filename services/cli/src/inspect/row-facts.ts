import { quoteIdentifier, quoteTable, sqlState } from '@tidemark/postgres'
import { type Keyspace, paramsIn } from '@tidemark/protocol'
import type { Client } from 'pg'

/** What the primary says of the rows of one table that a key's value comes from. */
export interface RowFacts {
  readonly table: string
  /** Of the row that was written last. */
  readonly row: RowVersion | 'none' | 'not-readable'
}

export interface RowVersion {
  /** The transaction that wrote it. */
  readonly xmin: string
  /** Null without track_commit_timestamp. */
  readonly committedAt: string | null
}

const MAX_ROWS = 1_000
const INSUFFICIENT_PRIVILEGE = '42501'
/** Data exceptions: the key's text is no value of the column. */
const DATA_EXCEPTION = '22'

/** Of each table of the keyspace, where the role may read it. */
export async function readRows(client: Client, keyspace: Keyspace, key: string): Promise<RowFacts[]> {
  const params = paramsIn(keyspace.template, key)
  const { rows } = await client.query<{ tracked: boolean }>(
    `select current_setting('track_commit_timestamp')::boolean as tracked`,
  )
  const facts: RowFacts[] = []
  for (const [table, columns] of Object.entries(keyspace.tables)) {
    facts.push({ table, row: await readRow(client, table, columns, params, rows[0]!.tracked) })
  }
  return facts
}

async function readRow(
  client: Client,
  table: string,
  columns: Readonly<Record<string, string>>,
  params: Readonly<Record<string, string>>,
  isTracked: boolean,
): Promise<RowFacts['row']> {
  const named = Object.entries(columns)
  // Without a type of its own a parameter takes the column's, so that an index serves.
  const condition = named.map(([, column], at) => `${quoteIdentifier(column)} = $${at + 1}`).join(' and ')
  try {
    const { rows } = await client.query<RowVersion>(
      `select xmin::text as xmin, ${isTracked ? 'pg_xact_commit_timestamp(xmin)::text' : 'null'} as "committedAt"
         from (select xmin from ${quoteTable(table)} where ${condition} limit ${MAX_ROWS}) found
        order by age(xmin) limit 1`,
      named.map(([param]) => params[param]),
    )
    return rows[0] ?? 'none'
  } catch (error) {
    const state = sqlState(error)
    if (state === INSUFFICIENT_PRIVILEGE) return 'not-readable'
    if (state?.startsWith(DATA_EXCEPTION)) return 'none'
    throw error
  }
}
