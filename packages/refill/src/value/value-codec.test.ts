import assert from 'node:assert/strict'
import { runInNewContext } from 'node:vm'
import zlib from 'node:zlib'
import { describe, expect, test } from '@jest/globals'
import { decodePayload, encodePayload } from '@tidemark/guard'
import fc from 'fast-check'
import type { Compression } from './compression.ts'
import type { Serializer } from './serializer.ts'
import { type Encoded, ValueCodec } from './value-codec.ts'

const PLAIN = 0
const RICH = 1
const MAX_BYTES = 1_000_000
const codec = new ValueCodec({ maxValueBytes: MAX_BYTES })
const compressing = (algorithm: Compression['algorithm'], minBytes = 0) =>
  new ValueCodec({ maxValueBytes: MAX_BYTES, compression: { algorithm, minBytes } })

async function encoded(value: unknown, by = codec): Promise<Encoded> {
  const stored = await by.encode(value)
  assert(stored, 'it is not too large')
  return stored
}

/** As a read does. */
async function decoded(stored: Encoded, by = codec): Promise<unknown> {
  const payload = encodePayload({ ...stored, storedAt: 0 })
  return by.decode(decodePayload((await by.inflate(payload)) ?? payload))
}

const roundTrip = async (value: unknown, by = codec) => decoded(await encoded(value, by))
const refusal = (value: unknown) =>
  codec.encode(value).then(
    () => 'accepted',
    (error) => {
      expect(error).toMatchObject({ code: 'VALUE_UNCACHEABLE', retriable: false })
      expect(error).not.toHaveProperty('cause')
      return (error as Error).message
    },
  )

/** The strictest equality there is: signs of zero, prototypes, holes, properties that are undefined. */
const expectEqual = (got: unknown, value: unknown) => assert.deepStrictEqual(got, value)

const anything = fc.anything({
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withNullPrototype: true,
  withSparseArray: true,
  withTypedArray: true,
  withUnicodeString: true,
})
/** Values that look like what an encoding of them might be. */
const lookalike = fc.letrec((tie) => ({
  node: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(
      'Date',
      'BigInt',
      'Buffer',
      'Map',
      'null',
      'ArrayBuffer',
      '$date',
      '1970-01-01T00:00:00.000Z',
      -1,
      0,
    ),
    fc.array(tie('node'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('$type', '$date', 'json', 'meta', 'type', 'data', '__proto', '0'), tie('node')),
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    fc.bigInt(),
    fc.date(),
  ),
})).node

describe('whatever value it is', () => {
  test('it comes back equal or is refused, and nothing but __proto__ is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(anything, fc.array(anything), fc.dictionary(fc.string(), anything)), async (value) => {
        const why = await refusal(value)
        if (why === 'accepted') expectEqual(await roundTrip(value), value)
        else expect(why).toContain('__proto__')
      }),
      { numRuns: 200 },
    )
  })

  test('it is not mistaken for what an encoding looks like', async () => {
    await fc.assert(
      fc.asyncProperty(lookalike, async (value) => expectEqual(await roundTrip(value), value)),
      { numRuns: 200 },
    )
  })

  test('it is plain JSON where JSON can say it, as workers write it', async () => {
    const jsonValue = fc.jsonValue({ maxDepth: 6, noUnicodeString: false })
    await fc.assert(
      fc.asyncProperty(jsonValue, async (value) => {
        const { codec: by, body } = await encoded(value)
        if (by === PLAIN) expect(body.toString()).toBe(JSON.stringify(value))
        else expect(JSON.stringify(JSON.parse(JSON.stringify(value)))).toContain('0') // a minus before a zero
        expectEqual(await roundTrip(value), value)
      }),
    )
  })
})

test.each([
  ['a bigint', { cents: 2n ** 70n }],
  ['a Date', [new Date(0), new Date(Number.NaN)]],
  ['a Buffer, as a Buffer', { photo: Buffer.from('x'), none: Buffer.alloc(0) }],
  ['bytes, as bytes', { bytes: new Uint8Array([1, 2]) }],
  ['a Map and a Set', new Map<unknown, unknown>([[{ id: 1 }, new Set([1n])]])],
  ['numbers that JSON has none for', [-0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]],
  ['undefined, in an object and in an array', { a: undefined, b: [undefined] }],
  ['an array with holes', Object.assign([1], { 2: 3 })],
  ['what hides that it turns itself into JSON', Object.defineProperty({ id: 1 }, 'toJSON', { value: () => 'x' })],
  ['an object without prototype', { row: Object.assign(Object.create(null), { id: 1 }) }],
  ['deeper than JSON is looked into', Array.from({ length: 100 }).reduce<unknown>((inner) => ({ inner }), 1)],
])('%s comes back as it was', async (_, value) => {
  expect((await encoded(value)).codec).toBe(RICH)
  expectEqual(await roundTrip(value), value)
})

test('a cycle comes back as one, and in no time', async () => {
  const cycle: Record<string, unknown> = { items: [] }
  cycle.items = [cycle, cycle, cycle]
  const back = (await roundTrip(cycle)) as typeof cycle
  expect(back.items).toEqual([back, back, back])
})

test('the absence of a value comes back as undefined, null as null', async () => {
  expect(await roundTrip(undefined)).toBeUndefined()
  expect(await encoded(undefined)).toEqual({ codec: PLAIN, body: Buffer.alloc(0) })
  expect(await roundTrip(null)).toBeNull()
})

test('of a Buffer in a pool, and of a view into one, only its own bytes are stored', async () => {
  const pool = Buffer.from('a secret beside it, mine, and another')
  const views = [
    pool.subarray(20, 24),
    new Uint8Array(pool.buffer, pool.byteOffset + 20, 4),
    new DataView(pool.buffer, pool.byteOffset + 20, 4),
  ]
  for (const view of views) {
    const { body } = await encoded(view)
    expect(body.length).toBeLessThan(100)
    const back = (await roundTrip(view)) as Uint8Array
    expect(Buffer.from(back.buffer, back.byteOffset, back.byteLength).toString()).toBe('mine')
  }
})

test('an object of another realm is plain, too', async () => {
  expect((await encoded(runInNewContext('({ rows: [{ id: 1 }] })'))).codec).toBe(PLAIN)
})

class Money {
  readonly cents = 1
}
class Moment extends Date {}
class Rows extends Array<unknown> {
  readonly count = 1
}

test.each([
  ['an instance of a class', { rows: [{ price: new Money() }] }, 'value.rows[0].price is a Money'],
  ['of one that is a Date', { at: new Moment(0) }, 'value.at is a Moment'],
  ['of one that is an array, as drivers have', { rows: new Rows() }, 'value.rows is a Rows'],
  ['an array with a name', { m: 'x'.match(/x/) }, 'value.m is a Array'],
  ['a function', { f: () => 1 }, 'value.f is a function'],
  ['a symbol', [Symbol('s')], 'value[0] is a symbol'],
  ['a symbol as a name', [{ [Symbol('s')]: 1 }], 'value[0] is an object with symbols'],
  ['what turns itself into JSON', { u: { toJSON: () => 'x' } }, 'value.u.toJSON is a function'],
  ['an error', new Map([['e', new Error('x')]]), 'value.get("e") is a Error'],
  ['a promise', { later: Promise.resolve(1) }, 'value.later is a Promise'],
])('%s is refused, and the path named', async (_, value, message) => {
  expect(await refusal(value)).toContain(message)
})

test('what is nested too deeply for a stack is refused', async () => {
  let nested: unknown = 1n
  for (let depth = 0; depth < 20_000; depth++) nested = [nested]
  expect(await refusal(nested)).toContain('nested too deeply')
})

test('a refusal names the path and never the value', async () => {
  expect(await refusal({ card: { number: '4111-1111', at: new Moment(0) } })).not.toMatch(/4111|1970/)
})

describe('compression', () => {
  const algorithms = ['gzip', 'brotli', 'zstd'] as const
  const long = { text: 'tide '.repeat(2_000), at: new Date(0) }

  test.each(algorithms)('%s makes it shorter, and a reader without the option reads it', async (algorithm) => {
    const { body } = await encoded(long, compressing(algorithm))
    expect(body.length).toBeLessThan(200)
    expectEqual(await roundTrip(long, compressing(algorithm)), long)
  })

  test('what is short, or becomes no shorter, is stored as it is', async () => {
    expect((await encoded(long, compressing('gzip', 20_000))).codec).toBe(RICH)
    expect((await encoded('ab', compressing('gzip'))).codec).toBe(PLAIN)
  })

  test.each([
    ['gzip', 1, zlib.gzipSync],
    ['brotli', 2, zlib.brotliCompressSync],
    ['zstd', 3, zlib.zstdCompressSync],
  ] as const)('what %s would blow up beyond maxValueBytes is no value', async (_, id, compress) => {
    const bomb = (bytes: number) => ({
      codec: id << 6,
      body: compress(Buffer.from(JSON.stringify('x'.repeat(bytes - 2)))),
    })
    expect(await decoded(bomb(MAX_BYTES))).toHaveLength(MAX_BYTES - 2)
    await expect(decoded(bomb(MAX_BYTES + 1))).rejects.toMatchObject({ code: 'CELL_MALFORMED' })
  })

  test('what is cut off is no value', async () => {
    const { codec: by, body } = await encoded(long, compressing('gzip'))
    await expect(decoded({ codec: by, body: body.subarray(0, -9) })).rejects.toMatchObject({
      code: 'CELL_MALFORMED',
    })
  })
})

describe('a value that is larger than may be', () => {
  const small = new ValueCodec({ maxValueBytes: 10, compression: { algorithm: 'gzip', minBytes: 0 } })

  test('is none to cache, however small it would be compressed', async () => {
    expect(await small.encode('x'.repeat(8))).not.toBeNull()
    expect(await small.encode('x'.repeat(9))).toBeNull()
  })
})

describe('two apps with different serializers', () => {
  const text = (id: number): Serializer => ({
    id,
    encode: (value) => Buffer.from(JSON.stringify(String(value))),
    decode: (bytes) => bytes.toString(),
  })
  const app = (id: number) => new ValueCodec({ maxValueBytes: MAX_BYTES, serializer: text(id) })

  test('do not take each other’s values for their own', async () => {
    const stored = await encoded(7, app(16))
    expect(await decoded(stored, app(16))).toBe('"7"')
    for (const other of [app(63), codec]) {
      await expect(decoded(stored, other)).rejects.toThrow(/CELL_MALFORMED.*serializer 16/)
    }
    await expect(decoded(await encoded(7), app(16))).rejects.toThrow(/CELL_MALFORMED.*serializer 0/)
  })

  test('may compress all the same', async () => {
    const compressed = new ValueCodec({
      maxValueBytes: MAX_BYTES,
      serializer: text(63),
      compression: { algorithm: 'brotli' },
    })
    const stored = await encoded('x'.repeat(5_000), compressed)
    expect(stored.body.length).toBeLessThan(100)
    expect(await decoded(stored, app(63))).toBe(JSON.stringify('x'.repeat(5_000)))
  })
})

test('an error of decoding holds nothing of the value', async () => {
  const decoding = decoded({ codec: PLAIN, body: Buffer.from('secret') })
  const told = await decoding.then(String, (error: Error) => `${error.stack} ${error.cause}`)
  expect(told).toContain('CELL_MALFORMED')
  expect(told).not.toContain('secret')
})
