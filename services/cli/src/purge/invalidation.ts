import { codedError, newestEpoch, readServerFacts, sqlState } from '@tidemark/postgres'
import {
  type Position,
  parseLsn,
  position,
  roundDownInPageHeader,
  type Source,
  TidemarkError,
} from '@tidemark/protocol'
import type { Client } from 'pg'
import type { Subjects } from './purge-terms.ts'

/**
 * Says on the primary, in a transaction of its own, that the subjects have changed. Returns a position that covers its
 * commit: where the log ended after that, which may be a little more.
 */
export async function invalidate(client: Client, source: Source, subjects: Subjects): Promise<Position> {
  const { segmentBytes } = await readServerFacts(client)
  await say(client, source, subjects)
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
  const epoch = await newestEpoch(client, source.name)
  return position(epoch!.number, roundDownInPageHeader(parseLsn(rows[0]!.lsn), segmentBytes))
}

async function say(client: Client, { name }: Source, { keys, tags, keyspaces }: Subjects): Promise<void> {
  try {
    // Alone it is a transaction; its commit is waited for.
    await client.query('select tidemark.invalidate($1, $2, $3, $4)', [name, keys, tags, keyspaces])
  } catch (error) {
    throw refusal(error) ?? codedError(error, 'tidemark.invalidate cannot be called')
  }
}

/** SQLSTATE → what mends it. */
const MENDS: Readonly<Record<string, string>> = {
  P0001: 'Start its publisher first: nobody would hear of it', // raised by the function
  '3F000': 'tidemark init --yes makes it', // no such schema
  '42883': 'tidemark init --yes makes it', // no such function
}

function refusal(error: unknown): TidemarkError | undefined {
  const mend = MENDS[sqlState(error) ?? '']
  if (mend === undefined || !(error instanceof Error)) return undefined
  return new TidemarkError('SERVER_REFUSED', error.message, { mend, cause: error })
}
