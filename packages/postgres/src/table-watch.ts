import type { Source } from '@tidemark/protocol'
import type { Client } from 'pg'
import { distrustNewestEpoch, newestEpoch } from './epoch.ts'
import { checkTables, type Layouts, layoutsIn, layoutsOf } from './replica-identity.ts'
import { readLayouts } from './table-layout.ts'
import { keyspacesOfSeveralRows } from './unique-keys.ts'

/** Nobody is told anything twice, nor by two; and what is said need not wait for a standby. */
const ANNOUNCE = `
  with recorded as (
    update tidemark.epoch set shape = $4 where source = $1 and epoch = $2 and shape = $3 returning source)
  select set_config('synchronous_commit', 'local', true), pg_logical_emit_message(true, 'tidemark.' || source, $5)
    from recorded`

/**
 * Looks for what happened to the source's tables without a word in the stream, and says it there, as an app would: the
 * keyspaces of those tables become floors. Throws what a start would refuse, having ended the epoch first.
 *
 * @returns the tables that are not as they were
 */
export async function announceChangedTables(client: Client, source: Source): Promise<readonly string[]> {
  const epoch = await newestEpoch(client, source.name)
  // An epoch that may not be continued has all its values refilled soon.
  if (!epoch || epoch.shape === null) return []
  const looked = changedSince(epoch.shape, layoutsOf(await readLayouts(client, source)))
  if (looked.length === 0 && (await keyspacesOfSeveralRows(client, source)).length === 0) return []
  const shape = await soundShape(client, source)
  // What is recorded was read a moment later: whatever has changed since the look will not be found by the next one.
  const changed = [...new Set([...looked, ...changedSince(epoch.shape, layoutsIn(shape))])]
  const keyspaces = Object.values(source.keyspaces).filter((k) =>
    changed.some((table) => Object.hasOwn(k.tables, table)),
  )
  const message = JSON.stringify({ keyspaces: keyspaces.map((k) => k.name) })
  await client.query(ANNOUNCE, [source.name, epoch.number, epoch.shape, shape, message])
  return changed
}

/** The tables whose layouts are not those that a description names. */
function changedSince(shape: string, now: Layouts): string[] {
  const before = layoutsIn(shape)
  const tables = new Set([...Object.keys(now), ...Object.keys(before)])
  return [...tables].filter((table) => now[table] !== before[table])
}

async function soundShape(client: Client, source: Source): Promise<string> {
  try {
    return await checkTables(client, source)
  } catch (error) {
    await distrustNewestEpoch(client, source.name)
    throw error
  }
}
