import { MAX_DEPENDENCIES } from '@tidemark/guard'
import {
  type Keyspace,
  type KeyValue,
  keyFor,
  keyspaceOf,
  type ParamsOf,
  type Source,
  TAGS,
  TidemarkError,
} from '@tidemark/protocol'

/** Names values of any keyspace that no row's key names; see {@link tag}. */
export interface Tag {
  readonly keyspace: typeof TAGS.name
  readonly params: { readonly name: string }
}

/** What a value is made of beside its own row: a key of any keyspace of the source, or a tag. */
export type DependencyOf<Keys extends Readonly<Record<string, string>>> =
  | Tag
  | { readonly [N in keyof Keys & string]: { readonly keyspace: N; readonly params: ParamsOf<Keys[N]> } }[keyof Keys &
      string]

/** The same, of a source that is not known to the types. */
export interface Dependency {
  readonly keyspace: string
  readonly params: Readonly<Record<string, KeyValue>>
}

/**
 * A tag: all that depends on it becomes stale when the app says so, in the transaction that makes it so:
 * `select tidemark.invalidate('shop', tags => '{sale}')`. Compared by version: a value is stale for as long as it was
 * loaded where that transaction is not to be seen.
 */
export function tag(name: string): Tag {
  return { keyspace: TAGS.name, params: { name } }
}

/**
 * The keys of dependencies, each once. Throws KEYSPACE_UNKNOWN, KEY_PARAMS_INVALID, and VALUE_UNCACHEABLE when there are
 * too many.
 */
export function keysOf(source: Source, dependencies: readonly Dependency[]): string[] {
  const keys = new Set(dependencies.map((one) => keyFor(templateOf(source, one.keyspace), one.params)))
  if (keys.size <= MAX_DEPENDENCIES) return [...keys]
  throw new TidemarkError('VALUE_UNCACHEABLE', `a value depends on ${keys.size} keys`, {
    mend: `Name at most ${MAX_DEPENDENCIES}: a tag, or a keyspace whose key has no params and stands for a whole table`,
  })
}

/** Throws CONFIG_INVALID for a keyspace whose values can depend on nothing else. */
export function checkMayDepend({ name, contract: { reaction } }: Keyspace): void {
  if (reaction !== 'update' && reaction !== 'bypass') return
  const why = reaction === 'update' ? 'a worker that writes its rows knows none' : 'nothing of it is cached'
  throw new TidemarkError('CONFIG_INVALID', `keyspace ${name} cannot have dependencies: ${why}`, {
    mend: "Leave dependsOn out, or let the contract say reaction: 'invalidate'",
  })
}

function templateOf(source: Source, keyspace: string) {
  return (keyspace === TAGS.name ? TAGS : keyspaceOf(source, keyspace)).template
}
