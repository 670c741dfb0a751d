import { decodePayload, type Guard, MAX_REQUIRED_KEYS, type RequireResult, type Sight } from '@tidemark/guard'
import { isTidemarkError, keyspaceOfKey, type Position } from '@tidemark/protocol'
import type { KeyspaceScope } from '../read/keyspace-scope.ts'
import { boundsOf, effectiveView } from './effective-view.ts'

/** A cell, seen under a view that claims no more than the partitions of its dependencies do. */
export interface WideSight extends Sight {
  /** Keys that the cell says its value depends on. */
  readonly dependencies: readonly string[]
  /** What a load that begins after this look must cover of their past, and what it does on the primary. */
  readonly bounds: { readonly required: Position; readonly granted: Position }
}

type Answers = ReadonlyMap<string, RequireResult>

const NO_BOUNDS = boundsOf([])

export const NOTHING_SEEN: WideSight = { view: null, cell: null, dependencies: [], bounds: NO_BOUNDS }

/**
 * Asks the partitions of the cells' dependencies, all at once, by one command each. Null as before where Redis did not
 * answer for the key, and where it does not for a dependency.
 */
export async function lookAround(
  scope: KeyspaceScope,
  sights: readonly (Sight | null)[],
): Promise<readonly (WideSight | null)[]> {
  const named = sights.map((sight) => dependenciesIn(sight))
  const answers = await askFor(scope, new Set(named.flat()))
  return sights.map((sight, i) => sight && widen(scope, sight, named[i]!, answers))
}

/** Of dependencies that a load has just named: a sight under their partitions' views too; null where Redis is away. */
export async function widened(
  scope: KeyspaceScope,
  sight: Sight,
  dependencies: readonly string[],
): Promise<WideSight | null> {
  return widen(scope, sight, dependencies, await askFor(scope, new Set(dependencies)))
}

function widen(scope: KeyspaceScope, sight: Sight, dependencies: readonly string[], answers: Answers) {
  if (dependencies.length === 0) return { ...sight, dependencies, bounds: NO_BOUNDS }
  // Of a keyspace that the configuration names no more nothing is known, and what depends on it is loaded anew.
  const isOrphan = (key: string) => keyspaceOfKey(scope.host.source, key) === undefined
  if (dependencies.some(isOrphan)) return { view: sight.view, cell: null, dependencies: [], bounds: NO_BOUNDS }
  const known = dependencies.flatMap((key) => answers.get(key) ?? [])
  if (known.length < dependencies.length) return null
  return {
    view: effectiveView(sight.view, known, scope.keyspace.name),
    cell: sight.cell,
    dependencies,
    bounds: boundsOf(known),
  }
}

/** A value that cannot be read depends on nothing: who decodes it finds out. */
function dependenciesIn(sight: Sight | null): readonly string[] {
  if (!sight?.cell) return []
  try {
    return decodePayload(sight.cell.payload).dependencies
  } catch (error) {
    if (isTidemarkError(error, 'CELL_MALFORMED')) return []
    throw error
  }
}

async function askFor(scope: KeyspaceScope, keys: ReadonlySet<string>): Promise<Answers> {
  const answers = new Map<string, RequireResult>()
  const byGuard = Map.groupBy(keys, (key) => scope.host.guardOf(key))
  await Promise.all([...byGuard].map(([guard, ofOne]) => askPartition(scope, guard, ofOne, answers)))
  return answers
}

async function askPartition(
  scope: KeyspaceScope,
  guard: Guard,
  keys: readonly string[],
  answers: Map<string, RequireResult>,
): Promise<void> {
  const asked = keys.flatMap((key) => {
    const keyspace = keyspaceOfKey(scope.host.source, key)?.name
    return keyspace === undefined ? [] : [{ key, keyspace }]
  })
  // Ends: one command for so many keys.
  for (let from = 0; from < asked.length; from += MAX_REQUIRED_KEYS) {
    const some = asked.slice(from, from + MAX_REQUIRED_KEYS)
    const answer = await scope.redis(() => guard.require(some))
    if (answer === null) return
    // Each position goes with the view of its own command: another one may be that of a Redis that lost writes since.
    for (const [i, { key }] of some.entries()) {
      answers.set(key, answer.code === 'required' ? { ...answer, required: [answer.required[i]!] } : answer)
    }
  }
}
