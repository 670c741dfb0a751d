import { TidemarkError } from './errors.ts'

/**
 * A key template such as `product:{id}:reviews`: segments between colons, each a literal or one `{param}`.
 *
 * Values are written as Postgres prints them, with the few characters that would make two keys look alike
 * percent-encoded. A null value makes no key: no cache entry can be named by it. A key of more than MAX_KEY_BYTES
 * makes none either: an app is refused it, so it can be in no cache and needs no invalidation.
 *
 * Two texts are two keys, also where Postgres takes them for equal (numeric 1.0 and 1.00, citext, a padded char(n), an
 * integer with a leading zero): an app gives a value as the row prints it, not as its own caller spelt it.
 */
export interface KeyTemplate {
  readonly text: string
  readonly params: readonly string[]
  readonly segments: readonly Segment[]
}

export type Segment = { readonly literal: string } | { readonly param: string }

/** What an app may give for a parameter; it must print as Postgres prints the column. */
export type KeyValue = string | number | bigint | boolean

export const MAX_KEY_BYTES = 1024

const LITERAL = /^[A-Za-z0-9_.-]+$/
const PARAM = /^\{([A-Za-z_][A-Za-z0-9_]*)\}$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must be encoded
const RESERVED = /[%:{}\u0000-\u0020\u007f]/g

/** Parses a template. Throws a RangeError that says which segment is wrong. */
export function parseTemplate(text: string): KeyTemplate {
  const segments = text.split(':').map((segment): Segment => {
    const param = PARAM.exec(segment)?.[1]
    if (param !== undefined) return { param }
    if (LITERAL.test(segment)) return { literal: segment }
    throw new RangeError(`segment ${JSON.stringify(segment)} is neither a literal nor one {param}`)
  })
  const params = segments.flatMap((s) => ('param' in s ? [s.param] : []))
  if (segments[0] && 'param' in segments[0]) throw new RangeError('the first segment must be a literal')
  if (new Set(params).size !== params.length) throw new RangeError('a param occurs twice')
  return { text, params, segments }
}

/** Whether some key could come from both templates. */
export function templatesOverlap(a: KeyTemplate, b: KeyTemplate): boolean {
  return (
    a.segments.length === b.segments.length &&
    a.segments.every((s, i) => {
      const other = b.segments[i]!
      return 'param' in s || 'param' in other || s.literal === other.literal
    })
  )
}

/** A value as `encodeValue` leaves it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must be encoded
const ENCODED_VALUE = /^(?:[^%:{}\u0000-\u0020\u007f]|%(?:[01][0-9A-F]|20|25|3A|7B|7D|7F))*$/

/** Whether `key` is one that the template can give, spelt just as it would give it. */
export function isKeyOf(template: KeyTemplate, key: string): boolean {
  const parts = key.split(':')
  return (
    key.isWellFormed() &&
    Buffer.byteLength(key) <= MAX_KEY_BYTES &&
    parts.length === template.segments.length &&
    template.segments.every((s, i) => ('literal' in s ? s.literal === parts[i] : ENCODED_VALUE.test(parts[i]!)))
  )
}

/** Each param's value in Postgres' text form, of a key that the template gives: the inverse of `renderKey`. */
export function paramsIn(template: KeyTemplate, key: string): Readonly<Record<string, string>> {
  const parts = key.split(':')
  return Object.fromEntries(
    template.segments.flatMap((s, at) => ('param' in s ? [[s.param, decodeValue(parts[at] ?? '')]] : [])),
  )
}

function decodeValue(value: string): string {
  return value.replace(/%([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function encodeValue(value: string): string {
  return value.replace(RESERVED, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}

/**
 * The key for parameter values in Postgres' text form, or undefined when there is none (a null, or too long).
 * `textOfParam` is called once for each param.
 */
export function renderKey(template: KeyTemplate, textOfParam: (param: string) => string | null): string | undefined {
  const parts: string[] = []
  for (const segment of template.segments) {
    if ('literal' in segment) {
      parts.push(segment.literal)
      continue
    }
    const value = textOfParam(segment.param)
    if (value === null) return undefined
    parts.push(encodeValue(value))
  }
  const key = parts.join(':')
  return Buffer.byteLength(key) > MAX_KEY_BYTES ? undefined : key
}

/** The key for an app's parameters. Throws KEY_PARAMS_INVALID when they do not fit the template. */
export function keyFor(template: KeyTemplate, params: Readonly<Record<string, KeyValue>>): string {
  const key = renderKey(template, (param) => textOf(template, param, params[param]))
  if (key !== undefined) return key
  throw new TidemarkError('KEY_PARAMS_INVALID', `the key of ${template.text} is longer than ${MAX_KEY_BYTES} bytes`)
}

function textOf(template: KeyTemplate, param: string, value: KeyValue | undefined): string {
  // Half a surrogate pair has no bytes of its own: two such strings would be one key in Redis.
  if (typeof value === 'string' && value.isWellFormed()) return value
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'boolean') return value ? 't' : 'f'
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  throw new TidemarkError('KEY_PARAMS_INVALID', `${template.text}: {${param}} is ${describe(value)}`, {
    mend: 'Give a string as Postgres prints the column, a safe integer, a bigint or a boolean',
  })
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing'
  if (typeof value === 'string') return 'not well-formed Unicode'
  return typeof value === 'number' ? String(value) : `of type ${typeof value}`
}
