import { describe, expect, test } from '@jest/globals'
import { isTidemarkError, ORIGIN, position, version } from '@tidemark/protocol'
import fc from 'fast-check'
import { judge } from './freshness.ts'
import { decodeOffset, decodeView, encodeOffset, floorOf, type View } from './view.ts'

const VIEW = {
  format: 1,
  epoch: '00000001',
  watermark: position(1, 30n),
  newest: version(1, 20n),
  horizon: position(1, 10n),
  floors: { '*': position(1, 5n), product: position(1, 8n), review: position(1, 3n) },
  offset: encodeOffset(12n),
  beat: 1_700_000_000_000,
  current: 1,
  generations: { 1: { since: 1_700_000_000_000, newest: version(1, 20n) } },
}

describe('a view', () => {
  test('is read as it was written', () => {
    expect(decodeView(JSON.stringify(VIEW))).toEqual(VIEW)
    expect(decodeView(Buffer.from(JSON.stringify({ ...VIEW, gap: 'offset gone' })))?.gap).toBe('offset gone')
  })

  test('that is gone is null', () => {
    expect(decodeView(null)).toBeNull()
  })

  test.each(Object.keys(VIEW))('without its field %s is refused', (field) => {
    const partial = Object.fromEntries(Object.entries(VIEW).filter(([name]) => name !== field))
    expect(() => decodeView(JSON.stringify(partial))).toThrow(expect.objectContaining({ code: 'CELL_MALFORMED' }))
  })

  test.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['JSON null', 'null'],
    ['a later format', JSON.stringify({ ...VIEW, format: 2 })],
    ['a position that is no string', JSON.stringify({ ...VIEW, watermark: [position(1, 30n)] })],
    ['a floor that is no position', JSON.stringify({ ...VIEW, floors: { '*': 5 } })],
    ['floors that are null', JSON.stringify({ ...VIEW, floors: null })],
    ['a beat out of all range', JSON.stringify(VIEW).replace('"beat":1700000000000', '"beat":1e999')],
    ['an offset of another length', JSON.stringify({ ...VIEW, offset: '12' })],
    ['a gap that is no cause', JSON.stringify({ ...VIEW, gap: false })],
  ])('of %s is refused', (_, text) => {
    expect(() => decodeView(text)).toThrow(expect.objectContaining({ code: 'CELL_MALFORMED' }))
  })

  test('of whatever JSON is read, or CELL_MALFORMED, and what is read can be judged by', () => {
    const field = fc.constantFrom(...Object.keys(VIEW), 'gap')
    const nearly = fc
      .tuple(field, fc.jsonValue(), field, fc.jsonValue())
      .map(([a, x, b, y]) => JSON.stringify({ ...VIEW, [a]: x, [b]: y }))
    const cell = { state: 'live', label: { low: position(1, 9n), high: position(1, 9n) }, loadedAt: null } as const
    const terms = { keyspace: 'product', contract: { maxStalenessMs: 1 }, clockSkewMs: 0, demand: null }
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), nearly), (text) => {
        const view = decodedOrNull(text)
        const verdict = judge(view, cell, terms, 1_700_000_000_000)
        if (verdict.fresh) expect(Number.isFinite(verdict.ageMs)).toBe(true)
        if (view) expect(decodeOffset(view.offset)).toBeGreaterThanOrEqual(0n)
      }),
      { numRuns: 5_000 },
    )
  })
})

describe('the floor of a keyspace', () => {
  const view = decodeView(JSON.stringify(VIEW)) as View
  test.each([
    ['its own, where that is higher', 'product', position(1, 8n)],
    ['that of all, where that is higher', 'review', position(1, 5n)],
    ['that of all, where it has none', 'user', position(1, 5n)],
    ['that of all, where its name is one that every object has', 'constructor', position(1, 5n)],
  ])('is %s', (_, keyspace, floor) => {
    expect(floorOf(view, keyspace)).toBe(floor)
  })

  test('is the origin where there is none at all', () => {
    expect(floorOf({ ...view, floors: {} }, 'product')).toBe(ORIGIN)
  })
})

test('an offset keeps its order when encoded', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 63n - 1n), fc.bigInt(0n, 2n ** 63n - 1n), (a, b) => {
      expect(decodeOffset(encodeOffset(a))).toBe(a)
      expect(encodeOffset(a) < encodeOffset(b)).toBe(a < b)
    }),
  )
})

function decodedOrNull(text: string): View | null {
  try {
    return decodeView(text)
  } catch (error) {
    if (isTidemarkError(error, 'CELL_MALFORMED')) return null
    throw error
  }
}
