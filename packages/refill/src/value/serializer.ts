import { TidemarkError } from '@tidemark/protocol'

/**
 * Turns values into bytes and back. `decode(encode(x))` must equal x, or hits would differ from misses.
 *
 * The id stands in every cell that it wrote: an app with another serializer takes such a cell for none, and loads.
 */
export interface Serializer {
  /** 16–63; below is Tidemark's own. Take another one when what is written changes its form. */
  readonly id: number
  /** Throws on what `decode` could not give back. */
  encode(value: unknown): Buffer
  decode(bytes: Buffer): unknown
}

/** One of the forms that a value may have in a cell. */
export interface Form extends Omit<Serializer, 'encode'> {
  /** Null when another form is for it. */
  encode(value: unknown): Buffer | null
}

const APP_IDS = { from: 16, to: 63 }

export function serializerMistakes(serializer: Serializer | undefined): string[] {
  const { from, to } = APP_IDS
  const id = serializer?.id ?? from
  return Number.isInteger(id) && id >= from && id <= to ? [] : [`serializer.id must be ${from}-${to}`]
}

/**
 * JSON that refuses what JSON would change without a word (a Date, a bigint, a Buffer, a Map, NaN), naming the path.
 * `undefined` as a whole value stands for "there is none" and comes back as `undefined`.
 */
export const jsonSerializer: Serializer = {
  id: 16,
  encode(value) {
    if (value === undefined) return Buffer.alloc(0)
    checkPlain(value, 'value', 0)
    return Buffer.from(JSON.stringify(value))
  },
  decode(bytes) {
    return bytes.length === 0 ? undefined : JSON.parse(bytes.toString('utf8'))
  },
}

const MAX_DEPTH = 64

function checkPlain(value: unknown, path: string, depth: number): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number' && Number.isFinite(value)) return
  if (depth > MAX_DEPTH) throw refused(path, `is nested deeper than ${MAX_DEPTH}`)
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) checkPlain(item, `${path}[${i}]`, depth + 1)
    return
  }
  if (typeof value !== 'object' || !isPlain(value)) throw refused(path, `is ${kindOf(value)}, which JSON would change`)
  for (const [name, item] of Object.entries(value)) {
    if (item !== undefined) checkPlain(item, `${path}.${name}`, depth + 1)
  }
}

/** Rows of `pg` have a constructor other than Object in some versions, so a toJSON method or own type tag decides. */
function isPlain(value: object): boolean {
  return Object.prototype.toString.call(value) === '[object Object]' && !('toJSON' in value)
}

function kindOf(value: unknown): string {
  if (value === undefined || typeof value === 'number') return String(value)
  return `a ${typeof value === 'object' ? (value?.constructor?.name ?? 'object') : typeof value}`
}

function refused(path: string, what: string): TidemarkError {
  return new TidemarkError('VALUE_UNCACHEABLE', `${path} ${what}`, {
    mend: 'Cast it in the load, or give a serializer',
  })
}
