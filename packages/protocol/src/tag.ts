import { keyFor, parseTemplate } from './key-template.ts'

/**
 * A tag names values of any keyspace that no row's key names: all that show the sale, say. Its invalidation is an event
 * like any other, of a key in a keyspace of this name, which no source may take.
 */
export const TAG_KEYSPACE = 'tag'

export const TAG_KEY = 'tag:{name}'

export const TAG_TEMPLATE = parseTemplate(TAG_KEY)

/** The key of a tag. Throws KEY_PARAMS_INVALID when its name is too long, or not well-formed Unicode. */
export function tagKey(name: string): string {
  return keyFor(TAG_TEMPLATE, { name })
}
