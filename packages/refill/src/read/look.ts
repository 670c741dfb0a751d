import type { Sight, View } from '@tidemark/guard'
import { TidemarkError } from '@tidemark/protocol'
import { isPayloadCompressed } from '../value/value-codec.ts'
import type { Wanted } from './inquiry.ts'
import type { KeyspaceScope } from './keyspace-scope.ts'

/**
 * Views and cells of the keys, in their order: one MGET a partition, all sent before any answer is awaited, so one round
 * trip to each node of Redis. Null where Redis did not answer in time.
 */
export async function look(scope: KeyspaceScope, wanted: readonly Wanted[]): Promise<readonly (Sight | null)[]> {
  const [first] = wanted
  if (first !== undefined && wanted.length === 1) return lookInPartition(scope, wanted)
  const sights = new Map<Wanted, Sight | null>()
  const look = async (ofOne: readonly Wanted[]) => {
    const seen = await lookInPartition(scope, ofOne)
    for (const [i, one] of ofOne.entries()) sights.set(one, seen[i]!)
  }
  await Promise.all([...byPartition(wanted).values()].map(look))
  return wanted.map((one) => sights.get(one)!)
}

async function lookInPartition(scope: KeyspaceScope, wanted: readonly Wanted[]): Promise<readonly (Sight | null)[]> {
  const { guard } = wanted[0]!
  const seen = await scope.redis(() => guard.lookMany(wanted.map((one) => one.key)))
  if (seen === null) return wanted.map(() => null)
  for (let told = 0; told < seen.malformed; told++) scope.emit({ event: 'redisFailed', error: unreadable() })
  return seen.sights.some(isCompressed) ? Promise.all(seen.sights.map((sight) => inflated(scope, sight))) : seen.sights
}

/**
 * From here on a value is as if it had never been compressed, and whoever decides over it need not wait. One that cannot
 * be read stays as it is, for whoever decodes it finds out: its label tells the lease what was of no use.
 */
async function inflated(scope: KeyspaceScope, sight: Sight): Promise<Sight> {
  const { cell, view } = sight
  if (!cell || !isCompressed(sight)) return sight
  const payload = await scope.host.values.inflate(cell.payload)
  return payload ? { view, cell: { ...cell, payload } } : sight
}

function isCompressed({ cell }: Sight): boolean {
  return cell !== null && isPayloadCompressed(cell.payload)
}

function unreadable(): TidemarkError {
  return new TidemarkError('CELL_MALFORMED', 'a cell in Redis is not of format 1', {
    mend: 'Find what else writes under the key prefix',
  })
}

function byPartition<W extends Wanted>(wanted: readonly W[]): Map<W['guard'], W[]> {
  return Map.groupBy(wanted, (one) => one.guard)
}

/** The views of the keys' partitions alone, for what nothing in Redis is asked for. */
export async function lookAtViews(scope: KeyspaceScope, wanted: readonly Wanted[]): Promise<readonly (Sight | null)[]> {
  const views = new Map<Wanted['guard'], View | null>()
  await Promise.all(
    [...byPartition(wanted).keys()].map(async (guard) => views.set(guard, await scope.redis(() => guard.view()))),
  )
  return wanted.map((one) => ({ view: views.get(one.guard)!, cell: null }))
}
