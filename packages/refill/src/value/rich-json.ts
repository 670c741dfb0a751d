import { TidemarkError } from '@tidemark/protocol'
import { DevalueError, defaultStringifyOperations, parse, stringify } from 'devalue'
import type { Form } from './serializer.ts'

/**
 * What JSON would change comes back as it was: bigint, Date, Buffer and other bytes, Map, Set, RegExp, URL, undefined,
 * NaN, minus zero, holes, cycles. What cannot come back is refused, and the path named.
 *
 * `devalue`, because superjson, msgpackr and v8.serialize turn an instance of a class into a plain object without a word,
 * msgpackr has no bigint beyond 64 bits, and superjson takes five times as long. Plain JSON takes a sixth of devalue's
 * time to write, so that devalue has what JSON cannot say, alone.
 */
export const richJson: Form = {
  id: 1,
  encode(value) {
    try {
      return Buffer.from(stringify(value, REDUCERS, { operations: OPERATIONS }))
    } catch (error) {
      throw refusalOf(error)
    }
  },
  decode(bytes) {
    return parse(bytes.toString('utf8'), REVIVERS)
  },
}

/** Bytes of `pg` are a Buffer, and shall be one from the cache as well. */
const REDUCERS = { Buffer: (value: unknown) => Buffer.isBuffer(value) && new Uint8Array(value) }
const REVIVERS = { Buffer: ({ buffer }: Uint8Array) => Buffer.from(buffer) }

const OPERATIONS = {
  /** devalue goes by the brand, which a subclass has too: it would come back without its class. */
  tagOf(value: object): string {
    const tag = defaultStringifyOperations.tagOf(value)
    return tag === 'Object' || isJust(value, tag) ? tag : 'class'
  },
  /** A view into a larger buffer: what lies beside it there is nobody's business. */
  viewInfo(view: ArrayBufferView) {
    const info = defaultStringifyOperations.viewInfo(view)
    const { byteOffset, byteLength } = info
    const buffer = info.buffer.slice(byteOffset, byteOffset + byteLength)
    return { ...info, buffer, byteOffset: 0, bufferByteLength: byteLength }
  },
}

/** Of the very class that its brand says, an array without names beside its items. */
function isJust(value: object, brand: string): boolean {
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name
  if (name !== brand.slice(brand.lastIndexOf('.') + 1)) return false
  return !Array.isArray(value) || Object.keys(value).every((key) => Number(key) >= 0)
}

/** Without the cause: devalue's error holds the value. */
function refusalOf(error: unknown): TidemarkError {
  const what =
    error instanceof DevalueError
      ? `value${error.path} is ${kindOf(error.value)}, which would not come back as it was`
      : 'value is nested too deeply, or longer than a text can be'
  return new TidemarkError('VALUE_UNCACHEABLE', what, { mend: 'Cast it in the load, or give a serializer' })
}

function kindOf(value: unknown): string {
  if (typeof value !== 'object') return `a ${typeof value}`
  const name: unknown = value && Object.getPrototypeOf(value)?.constructor?.name
  return name === 'Object' || typeof name !== 'string' ? 'an object with symbols or __proto__' : `a ${name}`
}
