import { expect, test } from '@jest/globals'
import type { View } from '@tidemark/guard'
import { after, position, version } from '@tidemark/protocol'
import type { PartitionSample, SampledKey } from './partition-samples.ts'
import type { Span } from './region.ts'
import { breaches, type Lawfulness } from './region-check.ts'
import type { NotedReading } from './region-readers.ts'
import { regionSource } from './region-source.ts'

const at = (lsn: number) => position(1, BigInt(lsn))
const commit = (n: number, lsn: number, committedMs: number) => ({ n, version: version(1, BigInt(lsn)), committedMs })

/** Row 7 is 1 from second 1 on, and 2 from second 5 on. */
const HISTORY = new Map([['7', [commit(1, 100, 1_000), commit(2, 500, 5_000)]]])
const NEWER = version(1, 500n)

const VIEW: View = {
  ...{ epoch: '00000001', watermark: at(600), newest: NEWER, horizon: at(50), floors: { '*': at(50) } },
  ...{ offset: '0000000000000010', beat: 6_000, current: 0, generations: {} },
}

function sample(view: Partial<View> | null, key: Partial<SampledKey> = {}, beganMs = 6_000): PartitionSample {
  const sampled = { key: { keyspace: 'exact', id: 7, key: 'exact:7' }, cell: null, tombstone: NEWER, ...key } as const
  return { partition: 0, beganMs, endedMs: beganMs, view: view && { ...VIEW, ...view }, keys: [sampled] }
}

const live = (n: number, low: number) => ({ state: 'live', label: { low: at(low), high: at(low) }, n }) as const

function reading(n: number, more: Partial<NotedReading> = {}): NotedReading {
  const label = { low: at(n === 1 ? 101 : 501), high: at(n === 1 ? 101 : 501) }
  const common = {
    keyspace: 'exact',
    id: '7',
    freshness: 'fresh',
    doubt: null,
    from: 'redis',
    inSession: false,
  } as const
  return { ...common, n, label, position: label.low, beganMs: 5_500, endedMs: 5_501, ...more }
}

function rules(given: Partial<Lawfulness>): string[] {
  const nothing = { history: HISTORY, readings: [], sessions: [], samples: [], losses: [], staleCells: [] }
  const found = breaches({ ...nothing, source: regionSource('region'), ...given })
  return [...new Set(found.map((breach) => breach.split(':')[0]!))]
}

test('what a region does that keeps the protocol is no breach', () => {
  const samples = [sample({}), sample({}, { cell: live(2, 501) }), sample({ watermark: at(700) })]
  const steps = [reading(1), reading(2)].map((r) => ({ kind: 'read', reading: r }) as const)
  expect(rules({ readings: [reading(1), reading(2)], sessions: [steps], samples })).toEqual([])
})

test.each([
  ['a fresh value whose position covers a newer commit', 'I1', reading(1, { position: at(501) })],
  ['a stale value whose label covers a newer commit', 'I1', reading(1, { freshness: 'stale', position: at(501) })],
  ['a value said to be fresh longer after its end than its contract allows', 'I7', reading(1, { beganMs: 7_100 })],
])('%s breaks %s', (_, rule, false_) => expect(rules({ readings: [false_] })).toEqual([rule]))

test('a value that is old and says so is no breach', () => {
  expect(rules({ readings: [reading(1, { freshness: 'stale', beganMs: 60_000 })] })).toEqual([])
})

test.each([
  ['a commit that the watermark covers and that left no tombstone', 'I3', sample({}, { tombstone: null })],
  ['one that left an older tombstone', 'I3', sample({}, { tombstone: version(1, 100n) })],
  ['a live value that does not cover it', 'I2', sample({}, { cell: live(2, 500) })],
  ['a live value that lacks it, whatever its label says', 'I3', sample({}, { cell: live(1, 501) })],
])('%s breaks %s', (_, rule, unlawful) => expect(rules({ samples: [unlawful] })).toEqual([rule]))

test.each([
  ['the horizon stands for a tombstone that was dropped', sample({ horizon: after(NEWER) }, { tombstone: null })],
  [
    'a floor stands for an invalidation, and for the value',
    sample({ floors: { '*': at(550) } }, { cell: live(1, 101) }),
  ],
  ['nothing is claimed while a gap is open', sample({ gap: 'view-missing' }, { cell: live(1, 101), tombstone: null })],
  ['nothing is claimed beyond the watermark', sample({ watermark: at(500) }, { cell: live(1, 101), tombstone: null })],
])('%s', (_, lawful) => {
  const tombstone = version(1, 100n)
  const withOlder = { ...lawful, keys: lawful.keys.map((key) => ({ ...key, tombstone: key.tombstone ?? tombstone })) }
  expect(rules({ samples: [withOlder] })).toEqual([])
})

test.each([
  ['a watermark', { watermark: at(599) }],
  ['a horizon', { horizon: at(49) }],
  ['a floor', { floors: { '*': at(49) } }],
  ['an offset', { offset: '000000000000000f' }],
  ['the view', null],
])('%s that goes back breaks I6, unless Redis lost something in between', (_, later) => {
  const samples = [sample({}), sample(later, {}, 6_100)]
  const loss: Span = { fromMs: 6_040, untilMs: 6_050 }
  expect(rules({ samples })).toEqual(['I6'])
  expect(rules({ samples, losses: [loss] })).toEqual([])
  expect(rules({ samples, losses: [{ fromMs: 6_110, untilMs: 6_120 }] })).toEqual(['I6'])
})

test('a session that reads less than it wrote or saw was broken its promise', () => {
  const read = (n: number) => ({ kind: 'read', reading: reading(n) }) as const
  expect(rules({ sessions: [[{ kind: 'wrote', id: '7', n: 2 }, read(1)]] })).toEqual(['session'])
  expect(rules({ sessions: [[read(2), read(1)]] })).toEqual(['session'])
})

test('a session that saw one row is promised the other rows up to there', () => {
  const history = new Map([...HISTORY, ['8', [commit(1, 600, 5_100)]]])
  const other = reading(1, { id: '8', label: null, position: null })
  const steps = [other, reading(1)].map((r) => ({ kind: 'read', reading: r }) as const)
  expect(rules({ history, sessions: [steps] })).toEqual(['session'])
})

test('what remains in Redis and is not what the row holds is a breach', () => {
  expect(rules({ staleCells: ['exact:7: 1 instead of 2'] })).toEqual(['I4'])
})
