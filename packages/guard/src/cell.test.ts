import { describe, expect, test } from '@jest/globals'
import { isEncoded, isTidemarkError, position } from '@tidemark/protocol'
import fc from 'fast-check'
import { type Cell, decodeCell, decodeLease, encodeTime } from './cell.ts'

const LOW = position(1, 0xabn)
const HIGH = position(1, 0xacn)
const LEASE = `+${'5'.repeat(16)}1700000000000`

const cellText = (state: string, time: string, lease: string, payload: string) =>
  Buffer.from(`1${state}${LOW}${HIGH}${time}${lease}${payload}`)
const NEVER = encodeTime(null)

describe('a cell', () => {
  test.each([
    ['live', 'L', 'live'],
    ['retained', 'S', 'stale'],
  ] as const)('that is %s gives label, payload and where it came from', (_, letter, state) => {
    const label = { low: LOW, high: HIGH }
    const payload = Buffer.from('{"a":1}')
    expect(decodeCell(cellText(letter, NEVER, '-', '{"a":1}'))).toEqual({ state, label, loadedAt: null, payload })
    const loadedAt = 1_700_000_000_123
    const primary = cellText(letter, encodeTime(loadedAt), '-', '{"a":1}')
    expect(decodeCell(primary)).toEqual({ state, label, loadedAt, payload })
  })

  test('may be empty of bytes', () => {
    expect(decodeCell(cellText('L', NEVER, '-', ''))?.payload).toEqual(Buffer.alloc(0))
  })

  test('gives the same payload while a lease is out', () => {
    expect(decodeCell(cellText('L', NEVER, LEASE, '+x'))?.payload).toEqual(Buffer.from('+x'))
  })

  test.each([
    ['nothing', null],
    ['a lease and no value', Buffer.from(`1-${'0'.repeat(61)}${LEASE}`)],
  ])('of %s is no cell', (_, raw) => {
    expect(decodeCell(raw)).toBeNull()
  })

  test.each([
    ['an empty string', ''],
    ['a cell cut off in its head', cellText('L', NEVER, '', '').toString()],
    ['another format', `2${cellText('L', NEVER, '-', 'x').toString().slice(1)}`],
    ['an unknown state', cellText('X', NEVER, '-', 'x').toString()],
    ['a label in upper case', cellText('L', NEVER, '-', 'x').toString().replace('ab', 'AB')],
    ['a time that is no number', cellText('L', 'xxxxxxxxxxxxx', '-', 'x').toString()],
    ['a negative time', cellText('L', '-000000000001', '-', 'x').toString()],
    ['neither lease nor none', cellText('L', NEVER, '?', 'x').toString()],
    ['a cell cut off in its lease', cellText('L', NEVER, '+0123', '').toString()],
    ['a lease without an end', cellText('L', NEVER, `+${'x'.repeat(29)}`, '').toString()],
    ['no value under a garbled head', `1-${'x'.repeat(62)}`],
  ])('is refused when it is %s', (_, text) => {
    expect(() => decodeCell(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'CELL_MALFORMED' }))
  })
})

describe('the lease of a cell', () => {
  const lease = { id: '5'.repeat(16), endsAtMs: 1_700_000_000_000 }
  test.each([
    ['is told beside a value', cellText('L', NEVER, LEASE, '+x'), lease],
    ['is told without one', Buffer.from(`1-${'0'.repeat(61)}${LEASE}`), lease],
    ['is null where none is out, whatever the value says', cellText('L', NEVER, '-', LEASE), null],
    ['is null where there is no cell', null, null],
  ])('%s', (_, raw, expected) => {
    expect(decodeLease(raw)).toEqual(expected)
  })

  test('of what is no cell is refused', () => {
    expect(() => decodeLease(Buffer.from('x'))).toThrow(expect.objectContaining({ code: 'CELL_MALFORMED' }))
  })
})

describe('whatever bytes lie under a cell’s key', () => {
  const anyBytes = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))
  const valid = fc
    .record({
      state: fc.constantFrom('L', 'S', '-'),
      lease: fc.constantFrom('-', LEASE),
      payload: fc.string({ maxLength: 20 }),
    })
    .map(({ state, lease, payload }) => cellText(state, encodeTime(1_700_000_000_000), lease, payload))
  const damaged = fc
    .tuple(valid, fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 3 }), fc.option(fc.nat(120)))
    .map(([bytes, flips, length]) => {
      const copy = Buffer.from(bytes)
      for (const [at, byte] of flips) if (at < copy.length) copy[at] = byte
      return length === null ? copy : copy.subarray(0, length)
    })

  test('they are a cell, no cell or CELL_MALFORMED, and never another error', () => {
    fc.assert(
      fc.property(fc.oneof(anyBytes, valid, damaged), (raw) => {
        const cell = decodedOrNull(raw)
        if (cell === null) return
        expect(isEncoded(cell.label.low) && isEncoded(cell.label.high)).toBe(true)
        expect(cell.loadedAt === null || Number.isSafeInteger(cell.loadedAt)).toBe(true)
        expect(cell.payload.length).toBeLessThan(raw.length)
      }),
      { numRuns: 5_000 },
    )
  })
})

function decodedOrNull(raw: Buffer): Cell | null {
  try {
    return decodeCell(raw)
  } catch (error) {
    if (isTidemarkError(error, 'CELL_MALFORMED')) return null
    throw error
  }
}
