import type { Source } from '@tidemark/protocol'
import type { Client } from 'pg'
import { type Epoch, newestEpoch, recordEpoch, recordStart } from './epoch.ts'
import { lockOpening, unlockOpening } from './opening-lock.ts'
import type { ServerFacts } from './server-facts.ts'
import { readSlot, recreateSlot } from './slot.ts'

const FIRST = 1

/**
 * Opens the first epoch of a source that has neither epoch nor slot, in the publisher's own order: the row, the slot, the
 * row's start. To the publisher it is an opening that was cut off before the announcement; it finishes it.
 *
 * The caller has seen that the topic never held a record: where it has, only the publisher can tell which numbers are
 * taken. Throws SLOT_ACTIVE when somebody else opens the source.
 *
 * @returns false when it has an epoch or a slot already: what becomes of them is for the publisher to decide
 */
export async function openFirstEpoch(
  client: Client,
  source: Source,
  server: ServerFacts,
  shape: string,
): Promise<boolean> {
  await lockOpening(client, source)
  const opens = (await readSlot(client, source)) === undefined && (await openAlone(client, source, server, shape))
  await unlockOpening(client)
  return opens
}

async function openAlone(client: Client, source: Source, server: ServerFacts, shape: string): Promise<boolean> {
  const first = (await newestEpoch(client, source.name)) ?? (await recordFirst(client, source, server, shape))
  // That of an init that was cut off is finished: nothing but its number was decided yet.
  if (first.number !== FIRST || first.start !== null || first.shape !== shape || first.slot !== source.slot)
    return false
  await recordStart(client, source.name, FIRST, await recreateSlot(client, source, server.version))
  return true
}

async function recordFirst(client: Client, source: Source, server: ServerFacts, shape: string): Promise<Epoch> {
  const { systemIdentifier, timeline } = server
  const epoch = { number: FIRST, systemIdentifier, timeline, start: null, slot: source.slot, shape }
  await recordEpoch(client, source.name, epoch)
  return epoch
}
