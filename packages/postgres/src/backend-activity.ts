import { withDeadline } from '@tidemark/service'
import type { Client } from 'pg'
import { connect, disconnect } from './connection.ts'
import { codedError, sqlState } from './sql-error.ts'

const ANSWER_TIMEOUT_MS = 5_000
/** The server is there, and has no connection to spare: nothing is known. */
const INSUFFICIENT_RESOURCES = '53'

/**
 * Whether the server is at work on what `client` asked of it last, as far as can be told; asked on a connection of its
 * own, for that of `client` may be broken without a sign. Throws SERVER_UNREACHABLE or DEADLINE_EXCEEDED.
 */
export async function isAtWork(url: string, applicationName: string, client: Client): Promise<boolean> {
  const { processID } = client as unknown as { readonly processID: number }
  try {
    return await askAbout(processID, url, applicationName)
  } catch (error) {
    const state = sqlState(error) ?? sqlState((error as Error).cause)
    if (state?.startsWith(INSUFFICIENT_RESOURCES)) return true
    throw codedError(error, 'Postgres does not say what it is doing')
  }
}

async function askAbout(pid: number, url: string, applicationName: string): Promise<boolean> {
  const other = await connect(url, applicationName, () => undefined)
  try {
    const query = `select state is distinct from 'idle' as works from pg_stat_activity where pid = $1`
    const asked = other.query<{ works: boolean }>(query, [pid])
    const { rows } = await withDeadline(asked, ANSWER_TIMEOUT_MS, 'no answer from Postgres about a session')
    return rows[0]?.works ?? false
  } finally {
    await disconnect(other)
  }
}
