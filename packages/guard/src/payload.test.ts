import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decodePayload, encodePayload, MAX_DEPENDENCIES } from './payload.ts'

const payload = fc.record({
  codec: fc.nat(255),
  storedAt: fc.nat(2 ** 45),
  costMs: fc.nat(0xffff_ffff),
  dependencies: fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 5 }),
  body: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
})

test('what is encoded is decoded', () => {
  fc.assert(fc.property(payload, (p) => expect(decodePayload(encodePayload(p))).toEqual(p)))
})

test('what is cut short is refused, or ends sooner in the body alone', () => {
  fc.assert(
    fc.property(payload, fc.nat(), (p, cut) => {
      const raw = encodePayload(p)
      const head = raw.length - p.body.length
      const kept = raw.subarray(0, cut % head)
      expect(() => decodePayload(kept)).toThrow('CELL_MALFORMED')
    }),
  )
})

test('another format is refused', () => {
  const raw = encodePayload({ storedAt: 0, body: Buffer.alloc(0) })
  raw[0] = 2
  expect(() => decodePayload(raw)).toThrow('CELL_MALFORMED')
})

test('dependencies are bounded', () => {
  const dependencies = Array.from({ length: MAX_DEPENDENCIES + 1 }, (_, i) => `product:${i}`)
  expect(() => encodePayload({ storedAt: 0, dependencies, body: Buffer.alloc(0) })).toThrow('1000')
})
