import { describe, expect, test } from '@jest/globals'
import { type Cell, decodePayload, encodePayload, type News, type View } from '@tidemark/guard'
import { defineSource, ORIGIN, type Position, position, type Version, version } from '@tidemark/protocol'
import { Copies, type CopiesOptions } from './copies.ts'
import { copyOf } from './copy.ts'

const NOW = 1_700_000_000_000
const { product } = defineSource({
  name: 'shop',
  keyspaces: {
    product: {
      key: 'product:{id}',
      tables: { 'public.product': { id: 'id' } },
      contract: { ttlMs: 10_000, negativeTtlMs: 1_000 },
    },
  },
}).keyspaces

const at = (lsn: number): Position => position(1, BigInt(lsn))
const TERMS = { keyspace: 'product', contract: { maxStalenessMs: 60_000 }, clockSkewMs: 0, demand: null }
const BEAT: News = { partition: 0, keys: [], watermark: at(100), newest: version(1, 1n), beat: NOW }
const VIEW: View = {
  epoch: '00000001',
  watermark: at(100),
  newest: ORIGIN as string as Version,
  horizon: ORIGIN,
  floors: {},
  offset: '0'.repeat(16),
  beat: NOW,
  current: 0,
  generations: {},
}

function cell(body: string, storedAt = NOW): Cell {
  const label = { low: at(90), high: at(90) }
  return { state: 'live', label, loadedAt: null, payload: encodePayload({ body: Buffer.from(body), storedAt }) }
}

/** Copies that the feed has been heard of, and which may keep whatever is read. */
class Heard {
  evicted = 0
  readonly copies: Copies

  constructor(bounds: Partial<CopiesOptions> = {}) {
    this.copies = new Copies({
      partitions: 1,
      maxEntries: 10,
      maxBytes: 10_000,
      onDropped: () => undefined,
      onEvicted: (copies) => {
        this.evicted += copies
      },
      ...bounds,
    })
    this.copies.follow(BEAT)
  }

  keep(key: string, read: Cell, value: unknown): void {
    const copy = copyOf(read, product, decodePayload(read.payload), value, NOW)
    this.copies.keep(this.copies.begin(0), key, { view: VIEW, cell: read }, copy, () => true)
  }

  isHeld(key: string, now = NOW): boolean {
    return this.copies.answer(key, TERMS, now) !== null
  }
}

describe('a value is held', () => {
  test('for no longer than its time in Redis, however old it was when it was read', () => {
    const heard = new Heard()
    heard.keep('k', cell('x', NOW - 4_000), 'value')
    expect(heard.isHeld('k', NOW + 5_999)).toBe(true)
    expect(heard.isHeld('k', NOW + 6_000)).toBe(false)
    expect(heard.copies.size).toBe(0)
  })

  test('no longer because its writer’s clock is ahead', () => {
    const heard = new Heard()
    heard.keep('k', cell('x', NOW + 4_000), 'value')
    expect(heard.isHeld('k', NOW + 10_000)).toBe(false)
  })

  test.each([[undefined], [null]])('for the time of a row that is not there, when it is %s', (none) => {
    const heard = new Heard()
    heard.keep('k', cell('x'), none)
    expect(heard.isHeld('k', NOW + 999)).toBe(true)
    expect(heard.isHeld('k', NOW + 1_000)).toBe(false)
  })

  test('only if it was live: what is retained as stale is nobody’s to keep', () => {
    const heard = new Heard()
    heard.keep('k', { ...cell('x'), state: 'stale' }, 'value')
    expect(heard.isHeld('k')).toBe(false)
  })
})

describe('there are never', () => {
  test('more values than may be; the ones that were used last stay', () => {
    const heard = new Heard({ maxEntries: 2 })
    heard.keep('a', cell('x'), 'value')
    heard.keep('b', cell('x'), 'value')
    heard.isHeld('a')
    heard.keep('c', cell('x'), 'value')
    expect(['a', 'b', 'c'].map((key) => heard.isHeld(key))).toEqual([true, false, true])
    expect(heard.evicted).toBe(1)
  })

  test('more bytes than may be, and one value that is larger than all is not held', () => {
    const heard = new Heard({ maxBytes: 1_000 })
    for (let i = 0; i < 9; i++) heard.keep(`k${i}`, cell('x'.repeat(200)), 'value')
    heard.keep('large', cell('x'.repeat(2_000)), 'value')
    expect(heard.isHeld('large')).toBe(false)
    expect(heard.copies.bytes).toBeLessThanOrEqual(1_000)
    expect(heard.copies.size).toBe(4)
    expect(heard.evicted).toBe(5)
  })
})

describe('what is handed out', () => {
  const contentOf = (value: unknown) => {
    const { content } = copyOf(cell('bytes'), product, decodePayload(cell('bytes').payload), value, NOW)
    return content
  }

  test('is frozen through and through, where it is plain', () => {
    const value = { list: [{ n: 1n }], none: null, self: null as unknown }
    value.self = value
    expect(contentOf(value)).toEqual({ shared: true, value })
    expect(() => value.list[0]!.n++).toThrow(TypeError)
    expect(() => value.list.push({ n: 2n })).toThrow(TypeError)
  })

  test.each([
    ['bytes', Buffer.from('x')],
    ['a date', new Date(0)],
    ['a map', new Map()],
    ['a set', new Set()],
    ['an instance of a class', new Heard()],
    ['a getter', Object.defineProperty({}, 'x', { get: () => 1 })],
    ['a function', { run: () => 1 }],
  ])('is decoded for each reader, and nothing of it is frozen, where it holds %s', (_, inner) => {
    const value = { plain: { n: 1 }, inner }
    expect(contentOf(value)).toMatchObject({ shared: false, payload: { body: Buffer.from('bytes') } })
    value.plain.n = 2
    expect(value.plain.n).toBe(2)
  })
})
