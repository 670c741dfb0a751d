import { allKeyspaces, type Keyspace, keyspaceOfKey, renderKey, type Source, TAGS } from '@tidemark/protocol'
import { z } from 'zod'
import type { EmittedMessage } from './pgoutput.ts'

/** What an app says with `tidemark.invalidate` that no table shows. */
export interface Invalidation {
  readonly keys: readonly { readonly keyspace: Keyspace; readonly key: string }[]
  readonly floors: readonly Keyspace[]
}

/** Whether the message is meant for the source: others use messages too, for ends of their own. */
export function isFor(source: Source, message: EmittedMessage): boolean {
  return message.prefix === `tidemark.${source.name}`
}

/** A larger message is not read: what it names is better said by a keyspace. */
export const MAX_CONTENT_BYTES = 1024 * 1024

const names = z.array(z.string()).default([])
const contentSchema = z.strictObject({ keys: names, tags: names, keyspaces: names })

/**
 * What the message says, or why it cannot be known: then whatever it meant may be any value of the source. The reason
 * holds nothing of its content, which may be personal.
 */
export function readInvalidation(source: Source, content: Buffer): Invalidation | string {
  if (content.length > MAX_CONTENT_BYTES) return `it is longer than ${MAX_CONTENT_BYTES} bytes`
  const parsed = contentSchema.safeParse(jsonIn(content))
  if (!parsed.success) return 'it is not a JSON object of keys, tags and keyspaces'
  const { keys: given, tags, keyspaces } = parsed.data
  const keys = [...given, ...tags.map(keyOfTag)].flatMap((key) => {
    const keyspace = keyspaceOfKey(source, key)
    return keyspace ? [{ keyspace, key }] : []
  })
  if (keys.length < given.length + tags.length) return 'a key or a tag in it is of no keyspace'
  const floors = allKeyspaces(source).filter(({ name }) => keyspaces.includes(name))
  if (floors.length < new Set(keyspaces).size) return 'a keyspace in it is not one of the source'
  return { keys, floors }
}

/** Of a name that is too long there is no key, hence none of a keyspace. */
function keyOfTag(name: string): string {
  return renderKey(TAGS.template, () => name) ?? ''
}

function jsonIn(content: Buffer): unknown {
  try {
    return JSON.parse(content.toString('utf8'))
  } catch {
    return undefined
  }
}
