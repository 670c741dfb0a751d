import type { Form } from './serializer.ts'

/**
 * JSON, for values that JSON gives back as they were; most are. It is also what a worker writes that updates in place.
 * `undefined` as a whole value stands for "there is none": no bytes.
 */
export const plainJson: Form = {
  id: 0,
  encode(value) {
    if (value === undefined) return Buffer.alloc(0)
    return isPlain(value, 0) ? Buffer.from(JSON.stringify(value)) : null
  },
  decode(bytes) {
    return bytes.length === 0 ? undefined : JSON.parse(bytes.toString('utf8'))
  },
}

/** A cycle has no end: beyond this, values are not looked into. */
const MAX_DEPTH = 64

/** Whether JSON gives back just this: it drops `undefined`, a class, a symbol, a minus before zero, without a word. */
function isPlain(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0)
  if (typeof value !== 'object' || depth > MAX_DEPTH) return false
  if (!Array.isArray(value)) return isPlainObject(value) && Object.values(value).every((v) => isPlain(v, depth + 1))
  return isPlainArray(value) && value.every((item) => isPlain(item, depth + 1))
}

/** Told by the length of its chain, for objects of another realm (jest, `node:vm`) have another Object.prototype. */
function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  if (prototype === null || Object.getPrototypeOf(prototype) !== null || 'toJSON' in value) return false
  return Object.getOwnPropertySymbols(value).length === 0
}

/** Neither of a subclass, as the rows of some drivers, nor with holes or names beside its items. */
function isPlainArray(value: readonly unknown[]): boolean {
  const parent = Object.getPrototypeOf(Object.getPrototypeOf(value))
  return parent !== null && Object.getPrototypeOf(parent) === null && Object.keys(value).length === value.length
}
