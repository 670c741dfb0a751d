import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isTidemarkError } from './errors.ts'
import { MAX_LSN } from './lsn.ts'
import { MAX_EPOCH, position, version } from './position.ts'
import { decodeRecord, type EncodedRecord, encodeRecord, MAX_KEYSPACE_BYTES, type TidemarkRecord } from './record.ts'

const points = fc.tuple(fc.integer({ min: 0, max: MAX_EPOCH }), fc.bigInt({ min: 0n, max: MAX_LSN - 1n }))
const at = points.map(([epoch, lsn]) => position(epoch, lsn))
const timeUs = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const keyspace = fc
  .string({ unit: 'binary', minLength: 1, maxLength: MAX_KEYSPACE_BYTES })
  .filter((name) => Buffer.byteLength(name) <= MAX_KEYSPACE_BYTES)
/** With a byte order mark now and then: decoders like to drop it, and a key without it is another key. */
const key = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'binary' }).map((text) => `\ufeff${text}`),
)

const records: fc.Arbitrary<TidemarkRecord> = fc.oneof(
  fc.record({
    kind: fc.constant('event' as const),
    key,
    keyspace,
    version: points.map(([epoch, lsn]) => version(epoch, lsn)),
    timeUs,
  }),
  fc.record({
    kind: fc.constant('event' as const),
    key,
    keyspace,
    version: points.map(([epoch, lsn]) => version(epoch, lsn)),
    timeUs,
    projection: fc.uint8Array({ minLength: 1 }).map((bytes) => Buffer.from(bytes)),
  }),
  fc.record({ kind: fc.constant('watermark' as const), position: at, timeUs }),
  fc.record({ kind: fc.constant('floor' as const), keyspace, position: at, timeUs }),
  fc.record({
    kind: fc.constant('epoch' as const),
    position: at,
    systemIdentifier: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    timeline: fc.integer({ min: 0, max: 0xffff_ffff }),
    timeUs,
  }),
  fc.record({ kind: fc.constant('claim' as const), position: at, timeUs }),
)

test('a record that is encoded and decoded is the same', () => {
  fc.assert(
    fc.property(records, (record) => {
      const { key: kafkaKey, value } = encodeRecord(record)
      expect(decodeRecord(kafkaKey, value)).toEqual(record)
    }),
    { numRuns: 2_000 },
  )
})

/** Bytes are refused with a code, or they are the one encoding of a record: no two are read as the same. */
function refusedOrExact(kafkaKey: Buffer | null, value: Buffer | null): void {
  let record: TidemarkRecord
  try {
    record = decodeRecord(kafkaKey, value)
  } catch (error) {
    expect(isTidemarkError(error, 'RECORD_MALFORMED') || isTidemarkError(error, 'RECORD_FORMAT_UNKNOWN')).toBe(true)
    return
  }
  // Not `toEqual`: it takes most of the time of ten thousand runs.
  const encoded = encodeRecord(record)
  expect(sameBytes(encoded.key, kafkaKey) && sameBytes(encoded.value, value)).toBe(true)
}

function sameBytes(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b)
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))

test('garbage is refused with a code or is a record', () => {
  const head = fc.tuple(fc.constantFrom(0, 1, 2), fc.integer({ min: 0, max: 5 }))
  const values = fc.oneof(
    bytes(120),
    fc.tuple(head, bytes(120)).map(([start, rest]) => Buffer.concat([Buffer.from(start), rest])),
  )
  fc.assert(fc.property(fc.option(bytes(40)), fc.option(values), refusedOrExact), { numRuns: 5_000 })
})

test('a record with some bytes changed, cut off or added is refused with a code or is a record', () => {
  const changes = fc.record({
    flips: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { maxLength: 3 }),
    cut: fc.oneof(fc.constant(0), fc.nat(40)),
    added: bytes(3),
  })
  fc.assert(
    fc.property(records, changes, fc.boolean(), (record, { flips, cut, added }, inKey) => {
      const encoded: EncodedRecord = encodeRecord(record)
      const change = (original: Buffer): Buffer => {
        const changed = Buffer.concat([original.subarray(0, Math.max(0, original.length - cut)), added])
        for (const [i, mask] of flips) if (changed.length > 0) changed[i % changed.length]! ^= mask
        return changed
      }
      if (inKey && encoded.key) refusedOrExact(change(encoded.key), encoded.value)
      else refusedOrExact(encoded.key, change(encoded.value))
    }),
    { numRuns: 5_000 },
  )
})

const event: TidemarkRecord = {
  kind: 'event',
  key: 'product:42',
  keyspace: 'product',
  version: version(0x01020304, 0x05060708_090a0b0cn),
  timeUs: 0x0d0e0f10_11121314n,
}

// What is on the wire outlives a build: these bytes may only change together with the format's number.
test('the bytes of each kind are those of the table', () => {
  const hex = (record: TidemarkRecord) => encodeRecord(record).value.toString('hex')
  const head = (kind: string) => `01${kind}01020304${'05060708090a0b0c'}${'0d0e0f1011121314'}`
  const { version: v, timeUs: time } = event
  const place = { position: position(0x01020304, 0x05060708_090a0b0cn), timeUs: time }
  expect(v).toBe(String(place.position))
  expect(hex(event)).toBe(`${head('01')}07${Buffer.from('product').toString('hex')}`)
  expect(encodeRecord(event).key).toEqual(Buffer.from('product:42'))
  expect(hex({ kind: 'watermark', ...place })).toBe(head('02'))
  expect(hex({ kind: 'floor', keyspace: 'é', ...place })).toBe(`${head('03')}02c3a9`)
  expect(hex({ kind: 'epoch', systemIdentifier: 0x15n, timeline: 0x16, ...place })).toBe(
    `${head('04')}000000000000001500000016`,
  )
  expect(hex({ kind: 'claim', ...place })).toBe(head('05'))
})

test.each([
  ['no value', event, () => null, 'the value has 0 bytes'],
  ['a value shorter than the head', event, (value: Buffer) => value.subarray(0, 21), 'the value has 21 bytes'],
  ['a byte too many', event, (value: Buffer) => Buffer.concat([value, Buffer.from([0])]), '31 bytes instead of 30'],
  ['a byte too few', event, (value: Buffer) => value.subarray(0, -1), '29 bytes instead of 30'],
  ['a keyspace without a name', event, (value: Buffer) => value.fill(0, 22, 23), 'a keyspace name of 0 bytes'],
  ['a keyspace name that is too long', event, (value: Buffer) => value.fill(65, 22, 23), 'a keyspace name of 65 bytes'],
  ['a keyspace that is not UTF-8', event, (value: Buffer) => value.fill(0xff, 23), 'the keyspace is not UTF-8'],
  [
    'a claim with something after it',
    { kind: 'claim', position: position(1, 0n), timeUs: 0n },
    (value: Buffer) => Buffer.concat([value, Buffer.from([0])]),
    '23 bytes instead of 22',
  ],
  ['a commit after which no position stands', event, (value: Buffer) => value.fill(0xff, 6, 14), 'at the last LSN'],
] as const satisfies readonly [string, TidemarkRecord, (value: Buffer) => Buffer | null, string][])(
  '%s is RECORD_MALFORMED',
  (_, record, change, message) => {
    const { key: kafkaKey, value } = encodeRecord(record)
    expect(() => decodeRecord(kafkaKey, change(value))).toThrow(/^RECORD_MALFORMED: .*/)
    expect(() => decodeRecord(kafkaKey, change(encodeRecord(record).value))).toThrow(message)
  },
)

test('an event without a key, and anything else with one, is RECORD_MALFORMED', () => {
  const watermark = encodeRecord({ kind: 'watermark', position: position(1, 1n), timeUs: 0n })
  expect(() => decodeRecord(null, encodeRecord(event).value)).toThrow('all events, have a Kafka key')
  expect(() => decodeRecord(Buffer.from('k'), watermark.value)).toThrow('only events')
})

test('a kind that there is not is RECORD_MALFORMED', () => {
  const { value } = encodeRecord(event)
  expect(() => decodeRecord(null, value.fill(7, 1, 2))).toThrow('RECORD_MALFORMED: kind 7')
})

test('another format is told apart from garbage: the workers are to be upgraded', () => {
  const { key: kafkaKey, value } = encodeRecord(event)
  value[0] = 2
  expect(() => decodeRecord(kafkaKey, value)).toThrow(/^RECORD_FORMAT_UNKNOWN: format 2, this build reads 1\. Upgrade/)
})

test('an error never holds what was in the record', () => {
  const secret = Buffer.concat([Buffer.from('hunter2'), Buffer.from([0xff])])
  const refused = () => decodeRecord(secret, encodeRecord(event).value)
  expect(refused).toThrow('the key is not UTF-8')
  expect(refused).not.toThrow('hunter2')
})

test.each(['', 'x'.repeat(MAX_KEYSPACE_BYTES + 1), 'é'.repeat(MAX_KEYSPACE_BYTES / 2 + 1)])(
  'a keyspace named %j does not fit and is not encoded',
  (name) => {
    expect(() => encodeRecord({ ...event, keyspace: name } as TidemarkRecord)).toThrow(RangeError)
  },
)

test('the README’s table of the format is the one above the type', () => {
  const rowsOf = (file: string) => {
    const lines = readFileSync(new URL(file, import.meta.url), 'utf8').split('\n')
    return lines.map((line) => line.replace(/^ \* /, '').replaceAll(/ +/g, ' ')).filter((line) => /^\| \d/.test(line))
  }
  expect(rowsOf('./record.ts')).toHaveLength(8)
  expect(rowsOf('../README.md')).toEqual(rowsOf('./record.ts'))
})
