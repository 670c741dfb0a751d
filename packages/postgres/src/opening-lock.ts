import { type Source, TidemarkError } from '@tidemark/protocol'
import type { Client } from 'pg'

/**
 * One at a time may decide how a source begins or goes on: two that both re-create a lost slot would each take the
 * other's gap for continuity. Held until it is given back, or the connection ends. Throws SLOT_ACTIVE when it is taken.
 */
export async function lockOpening(client: Client, source: Source): Promise<void> {
  const { rows } = await client.query<{ locked: boolean }>(
    `select pg_try_advisory_lock(hashtextextended('tidemark opening ' || $1, 0)) as locked`,
    [source.name],
  )
  if (!rows[0]?.locked) throw new TidemarkError('SLOT_ACTIVE', 'another publisher is opening the source')
}

export async function unlockOpening(client: Client): Promise<void> {
  await client.query('select pg_advisory_unlock_all()')
}
