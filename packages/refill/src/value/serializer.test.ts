import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { jsonSerializer as serializer } from './serializer.ts'

const roundTrip = (value: unknown) => serializer.decode(serializer.encode(value))

const refusal = (value: unknown): string => {
  try {
    serializer.encode(value)
  } catch (error) {
    expect(error).toMatchObject({ code: 'VALUE_UNCACHEABLE', retriable: false })
    return (error as Error).message
  }
  return 'accepted'
}

/** Minus zero comes back as zero, to which it is equal by `===`. */
function unsigned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unsigned)
  if (typeof value !== 'object' || value === null) return value === 0 ? 0 : value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, unsigned(item)]))
}

test('whatever JSON can say comes back equal', () => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => expect(roundTrip(value)).toEqual(unsigned(value))))
})

test('whatever value it is, it comes back equal or is refused', () => {
  const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true })
  const ofAnyKind = fc.oneof(anything, fc.array(anything), fc.dictionary(fc.string(), anything))
  fc.assert(
    fc.property(ofAnyKind, (value) => {
      if (refusal(value) === 'accepted') expect(roundTrip(value)).toEqual(unsigned(value))
    }),
  )
})

test('the absence of a value comes back as undefined, null as null', () => {
  expect(roundTrip(undefined)).toBeUndefined()
  expect(serializer.encode(undefined)).toHaveLength(0)
  expect(roundTrip(null)).toBeNull()
})

test('a property that is undefined is left out', () => {
  expect(roundTrip({ a: 1, b: undefined })).toStrictEqual({ a: 1 })
})

test.each([
  ['a Date', { rows: [{ at: new Date(0) }] }, 'value.rows[0].at is a Date'],
  ['a bigint', { cents: 1n }, 'value.cents is a bigint'],
  ['a Buffer', [Buffer.from('x')], 'value[0] is a Buffer'],
  ['bytes', { b: new Uint8Array(1) }, 'value.b is a Uint8Array'],
  ['a Map', { m: new Map() }, 'value.m is a Map'],
  ['a Set', new Set(), 'value is a Set'],
  ['NaN', { ratio: Number.NaN }, 'value.ratio is NaN'],
  ['an infinity', [1, Number.POSITIVE_INFINITY], 'value[1] is Infinity'],
  ['a function', { f: () => 1 }, 'value.f is a function'],
  ['a symbol', [Symbol('s')], 'value[0] is a symbol'],
  ['undefined in an array', [1, undefined], 'value[1] is undefined'],
  ['a hole in an array', { a: new Array(1) }, 'value.a[0] is undefined'],
  ['what turns itself into JSON', { u: { toJSON: () => 'x' } }, 'value.u is a Object'],
  ['a regular expression', [/x/], 'value[0] is a RegExp'],
])('%s is refused, and the path named', (_, value, message) => {
  expect(refusal(value)).toContain(message)
})

test('a cycle is refused, and in no time', () => {
  const cycle: Record<string, unknown> = {}
  cycle.again = cycle
  expect(refusal(cycle)).toMatch(/value(\.again){65} is nested deeper than 64/)
  const wide: unknown[] = []
  wide.push(wide, wide, wide)
  expect(refusal({ wide })).toContain('nested deeper')
})

test('as deep as the bound is accepted, one deeper is not', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) })
  expect(roundTrip(nested(65))).toEqual(nested(65))
  expect(refusal(nested(66))).toContain('nested deeper than 64')
})

test('a row is a plain object, whatever its constructor', () => {
  class Row {
    id = 1
    name = 'tide'
  }
  expect(roundTrip([new Row(), Object.assign(Object.create(null), { id: 2 })])).toEqual([
    { id: 1, name: 'tide' },
    { id: 2 },
  ])
})

test('what is no JSON throws when it is decoded', () => {
  expect(() => serializer.decode(Buffer.from('{'))).toThrow(SyntaxError)
})

test('a refusal names the path and never the value', () => {
  expect(refusal({ card: { number: '4111-1111', at: new Date(0) } })).not.toMatch(/4111|1970/)
})
