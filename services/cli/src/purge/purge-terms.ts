import { keyspaceOf, partitionOf, type Source, tagKey } from '@tidemark/protocol'
import { parseDuration } from '../amount.ts'
import { ArgumentMistakes } from '../argument-mistakes.ts'
import type { Flags } from '../command.ts'
import { chosenKey } from '../key-choice.ts'
import { regionsOf } from '../region-choice.ts'
import type { NamedRedis } from '../settings.ts'

/** What is to be invalidated. */
export interface Subjects {
  readonly keys: readonly string[]
  readonly tags: readonly string[]
  readonly keyspaces: readonly string[]
}

/** What the arguments ask for. */
export interface PurgeTerms {
  readonly subjects: Subjects
  /** Those that are waited for. */
  readonly regions: readonly NamedRedis[]
  readonly waitMs: number
}

const DEFAULT_WAIT = '30s'

/** Throws MistakenArguments with all mistakes. What is no key or keyspace of the source would make all of it stale. */
export function purgeTerms(
  flags: Flags,
  operands: readonly string[],
  source: Source,
  regions: readonly NamedRedis[],
): PurgeTerms {
  const mistakes = new ArgumentMistakes()
  const subjects = { keys: operands, tags: textsOf(flags.tag), keyspaces: textsOf(flags.keyspace) }
  for (const key of subjects.keys) chosenKey(key, source, mistakes)
  for (const name of subjects.keyspaces) mistakes.attempt(() => keyspaceOf(source, name))
  for (const name of subjects.tags) mistakes.attempt(() => tagKey(name))
  if (Object.values(subjects).every((named) => named.length === 0)) {
    mistakes.add('say what to purge: a key, --keyspace or --tag')
  }
  const waitMs = parseDuration(String(flags.wait ?? DEFAULT_WAIT))
  if (waitMs === undefined) mistakes.add(`--wait ${JSON.stringify(flags.wait)}: give a time as 30s, or 0s`)
  const waited = flags.region === undefined ? regions : regionsOf(flags.region, regions, mistakes)
  mistakes.throwIfAny()
  return { subjects, regions: waited, waitMs: waitMs! }
}

/** The partitions that hear of it: a keyspace has keys in all of them. */
export function partitionsOf({ keys, tags, keyspaces }: Subjects, { partitions }: Source): number[] {
  if (keyspaces.length > 0) return Array.from({ length: partitions }, (_, partition) => partition)
  return [...new Set([...keys, ...tags.map(tagKey)].map((key) => partitionOf(key, partitions)))]
}

function textsOf(given: Flags[string]): readonly string[] {
  return Array.isArray(given) ? given.map(String) : []
}
