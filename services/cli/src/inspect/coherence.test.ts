import { expect, test } from '@jest/globals'
import type { Inspection, View } from '@tidemark/guard'
import { after, defineSource, keyspaceOf, ORIGIN, position, type Version, version } from '@tidemark/protocol'
import { coherenceOf } from './coherence.ts'
import { servingText } from './serving-text.ts'

const NOW_MS = 1_000_000
const SOURCE = defineSource({
  name: 'shop',
  keyspaces: {
    product: { key: 'product:{id}', tables: {} },
    bare: { key: 'bare:{id}', tables: {}, contract: { reaction: 'bypass' } },
    list: {
      ...{ key: 'list:{id}', tables: {} },
      contract: { reaction: 'refresh', retainStaleMs: 1_000, whenUnprovable: 'serve-stale' },
    },
  },
})
const PRODUCT = keyspaceOf(SOURCE, 'product')

const VIEW: View = {
  ...{ epoch: '00000001', watermark: position(1, 100n), newest: version(1, 90n), horizon: position(1, 10n) },
  ...{ floors: {}, offset: '0000000000000009', beat: NOW_MS - 100, current: 0, generations: {} },
}

const EMPTY = { tombstone: null, keys: 0 }

function inspectionOf(low: bigint, more: Partial<Inspection> = {}): Inspection {
  const label = { low: position(1, low), high: position(1, low + 5n) }
  return {
    ...{ view: VIEW, lease: null, remainingMs: 1_000, serverTimeMs: NOW_MS },
    generations: [EMPTY, EMPTY, EMPTY, EMPTY],
    cell: { state: 'live', label, loadedAt: null, value: 'malformed' },
    ...more,
  }
}

const eventAt = (lsn: bigint, epoch = 1) => ({ version: version(epoch, lsn), offset: 1n, committedAtMs: 0 })

const staleWith = (inspection: Inspection, newest: ReturnType<typeof eventAt> | null) =>
  coherenceOf(inspection, PRODUCT, SOURCE, newest, NOW_MS).isStale

test('I2 a live cell that lacks an event which the watermark covers is stale', () => {
  expect(staleWith(inspectionOf(40n), eventAt(40n))).toBe(true)
  expect(staleWith(inspectionOf(41n), eventAt(40n))).toBe(false)
})

test.each<[string, Inspection, ReturnType<typeof eventAt> | null]>([
  ['whose event the watermark does not cover yet', inspectionOf(40n), eventAt(100n)],
  ['of which the topic holds no event', inspectionOf(40n), null],
  [
    'below the floor, which nobody is served',
    inspectionOf(40n, { view: { ...VIEW, floors: { '*': position(1, 41n) } } }),
    eventAt(60n),
  ],
  ['in a gap', inspectionOf(40n, { view: { ...VIEW, gap: 'offset-gone' } }), eventAt(60n)],
  ['without a view', inspectionOf(40n, { view: null }), eventAt(60n)],
  ['that is retained as stale', inspectionOf(40n, { cell: { ...liveCell(), state: 'stale' } }), eventAt(60n)],
  ['that is not there', inspectionOf(40n, { cell: null }), eventAt(60n)],
])('a cell %s is not called stale', (_, inspection, newest) => {
  expect(staleWith(inspection, newest)).toBe(false)
})

function liveCell() {
  return inspectionOf(40n).cell as Exclude<Inspection['cell'], null | 'malformed'>
}

test('what a refill requires is what the guard’s scripts do', () => {
  const tombstone = version(1, 70n)
  const generations = [{ tombstone, keys: 1 }, EMPTY, EMPTY, EMPTY]
  const view = { ...VIEW, generations: { '0': { since: 0, newest: tombstone } } }
  const required = (more: Partial<Inspection>) =>
    coherenceOf(inspectionOf(40n, more), PRODUCT, SOURCE, null, NOW_MS).required
  expect(required({ generations, view })).toBe(after(tombstone))
  expect(required({})).toBe(VIEW.horizon)
  expect(required({ view: { ...VIEW, gap: 'view-missing' } })).toBeNull()
  expect(required({ view: { ...VIEW, horizon: ORIGIN, newest: ORIGIN as string as Version } })).toBe(ORIGIN)
})

test.each<[string, Inspection, string, RegExp]>([
  ['fresh', inspectionOf(40n), 'product', /^fresh: .* 1\/0\/64 covers, .* 600 ms ago, of 10\.0 s$/],
  ['absent', inspectionOf(40n, { cell: null }), 'product', /no value; a read loads it, or fails$/],
  ['old', inspectionOf(40n, { view: { ...VIEW, beat: 0 } }), 'product', /the view is old \(more than 10\.0 s\)/],
  ['in a gap', inspectionOf(40n, { view: { ...VIEW, gap: 'x' } }), 'list', /missed.*serves this as stale$/],
  ['to be refreshed', inspectionOf(40n, { cell: { ...liveCell(), state: 'stale' } }), 'list', /refreshed behind$/],
  [
    'under a floor, to be refreshed',
    inspectionOf(40n, { view: { ...VIEW, floors: { '*': position(1, 41n) } } }),
    'list',
    /whole keyspace was invalidated.*refreshed behind$/,
  ],
  ['bypassed', inspectionOf(40n), 'bare', /^never: .* bypass/],
  ['malformed', inspectionOf(40n, { cell: 'malformed' }), 'product', /^never: it is not of our format$/],
])('a cell that is %s is told as such', (_, inspection, name, words) => {
  const keyspace = keyspaceOf(SOURCE, name)
  const { verdict } = coherenceOf(inspection, keyspace, SOURCE, null, NOW_MS)
  expect(servingText(verdict, inspection, keyspace)).toMatch(words)
})
