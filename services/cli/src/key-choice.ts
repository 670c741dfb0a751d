import { allKeyspaces, type Keyspace, keyspaceOfKey, type Source } from '@tidemark/protocol'
import type { ArgumentMistakes } from './argument-mistakes.ts'

/** A cache key, and the keyspace whose template gives it. */
export interface ChosenKey {
  readonly key: string
  readonly keyspace: Keyspace
}

/** Undefined after a mistake was noted: what is no key of the source is nothing that can be looked at, or purged. */
export function chosenKey(key: string, source: Source, mistakes: ArgumentMistakes): ChosenKey | undefined {
  const keyspace = keyspaceOfKey(source, key)
  if (keyspace) return { key, keyspace }
  const templates = allKeyspaces(source).map(({ template }) => template.text)
  mistakes.add(`${JSON.stringify(key)} is a key of no keyspace; those of ${source.name} are ${templates.join(', ')}`)
  return undefined
}
