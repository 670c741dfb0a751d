import { expect, test } from '@jest/globals'
import { type Cell, encodePayload, type View } from '@tidemark/guard'
import { ORIGIN, position, version } from '@tidemark/protocol'
import type { Product } from '@tidemark/storefront'
import { audit } from './audit.ts'

const ROW: Product = { id: 1, name: 'Lamp', priceCents: 2_499 }
const ROWS = new Map([[1, ROW]])

function viewWith(more: Partial<View> = {}): View {
  return {
    epoch: '00000001',
    watermark: position(1, 100n),
    newest: version(1, 90n),
    horizon: ORIGIN,
    floors: {},
    offset: '0'.repeat(16),
    beat: 0,
    current: 0,
    generations: {},
    ...more,
  }
}

function cellOf(product: Product | null, state: Cell['state'] = 'live'): Cell {
  const label = { low: position(1, 80n), high: position(1, 95n) }
  return {
    state,
    label,
    loadedAt: null,
    payload: encodePayload({ body: Buffer.from(JSON.stringify(product)), storedAt: 0 }),
  }
}

test('a value that equals its row is right, however old its view', () => {
  const cached = [{ id: 1, view: viewWith(), cell: cellOf(ROW) }]
  expect(audit(cached, ROWS)).toEqual({ checked: 1, outdated: 0, served: 1, stale: 0 })
})

test('a live value that differs from its row in any field is stale', () => {
  for (const wrong of [{ ...ROW, priceCents: 1_999 }, { ...ROW, name: 'Lamb' }, { ...ROW, id: 2 }, null]) {
    const cached = [{ id: 1, view: viewWith(), cell: cellOf(wrong) }]
    expect(audit(cached, ROWS)).toEqual({ checked: 1, outdated: 1, served: 1, stale: 1 })
  }
})

test('a cached product whose row is gone is stale, a cached absence is not', () => {
  expect(audit([{ id: 2, view: viewWith(), cell: cellOf({ ...ROW, id: 2 }) }], ROWS)).toMatchObject({ stale: 1 })
  expect(audit([{ id: 2, view: viewWith(), cell: cellOf(null) }], ROWS)).toMatchObject({ served: 1, stale: 0 })
})

test('what is outdated and would not be served as fresh is counted, and is not stale', () => {
  const old = { ...ROW, priceCents: 1_999 }
  const cached = [
    { id: 1, view: viewWith(), cell: cellOf(old, 'stale') },
    { id: 1, view: viewWith({ floors: { product: position(1, 81n) } }), cell: cellOf(old) },
    { id: 1, view: viewWith({ gap: 'view-missing' }), cell: cellOf(old) },
    { id: 1, view: null, cell: cellOf(old) },
  ]
  expect(audit(cached, ROWS)).toEqual({ checked: 4, outdated: 4, served: 0, stale: 0 })
})

test('a key with nothing but a lease under it holds no value', () => {
  expect(audit([{ id: 1, view: viewWith(), cell: null }], ROWS)).toMatchObject({ checked: 0 })
})
