import { expect, test } from '@jest/globals'
import { after, type Lsn, partitionOf, position, type TidemarkRecord, version } from '@tidemark/protocol'
import { breaches, type Commit, type Evidence, type Recorded } from './topic-check.ts'

const START: Lsn = 100n

function commit(lsn: Lsn, keys: readonly string[], floors: readonly string[] = []): Commit {
  return { lsn, keys: new Map(keys.map((key) => [key, 'item'])), floors: new Set(floors) }
}

const epoch = (number = 1): TidemarkRecord => ({
  ...{ kind: 'epoch', position: position(number, START), systemIdentifier: 1n, timeline: 1, timeUs: 0n },
})
const claim = (number = 1): TidemarkRecord => ({ kind: 'claim', position: position(number, 0n), timeUs: 0n })
const event = (key: string, lsn: Lsn): TidemarkRecord => ({
  ...{ kind: 'event', key, keyspace: 'item', version: version(1, lsn), timeUs: 0n },
})
const floor = (lsn: Lsn): TidemarkRecord => ({
  ...{ kind: 'floor', keyspace: 'item', position: after(version(1, lsn)), timeUs: 0n },
})
const watermark = (lsn: Lsn): TidemarkRecord => ({ kind: 'watermark', position: position(1, lsn), timeUs: 0n })

/** One partition that holds these records. */
function evidence(commits: Commit[], records: TidemarkRecord[], more: Partial<Evidence> = {}): Evidence {
  return {
    partitions: 1,
    epochs: [{ number: 1, start: START }],
    reasons: [],
    commits,
    records: records.map((record, at): Recorded => ({ ...record, partition: 0, offset: BigInt(at) })),
    confirmations: [],
    ...more,
  }
}

/** What every life begins with. */
const heading = () => [claim(), epoch()]

const COMMITS = [commit(110n, ['a', 'b']), commit(120n, ['a']), commit(130n, [], ['item']), commit(140n, ['c'])]
const LAWFUL = [
  ...[...heading(), event('a', 110n), event('b', 110n), watermark(120n), event('a', 120n)],
  // killed before the watermark, and again from the last confirmed position
  ...[...heading(), event('a', 120n), floor(130n), watermark(140n), event('c', 140n), watermark(150n)],
]

/** The rules that are broken, each once. */
function rules(given: Evidence): string[] {
  return [...new Set(breaches(given).map((breach) => breach.split(':')[0]!))]
}

test('a replay after a kill is lawful', () => {
  expect(breaches(evidence(COMMITS, LAWFUL))).toEqual([])
})

test('the newest of several events of a key in one batch stands for all, also when a replay makes them single', () => {
  const commits = [commit(110n, ['a']), commit(120n, ['b']), commit(130n, ['a'])]
  const batch = [...heading(), event('b', 120n), event('a', 130n), watermark(140n)]
  const replay = [...heading(), event('a', 110n), watermark(120n), event('b', 120n), event('a', 130n), watermark(140n)]
  expect(breaches(evidence(commits, [...batch, ...replay]))).toEqual([])
})

test('a commit before the epoch is covered by its announcement', () => {
  expect(breaches(evidence([commit(90n, ['a'])], [...heading(), watermark(120n)]))).toEqual([])
})

test('a commit that is nowhere is missing, and the watermark that covers it late', () => {
  const withoutLast = LAWFUL.filter((record) => record.kind !== 'event' || record.key !== 'c')
  expect(rules(evidence(COMMITS, withoutLast))).toEqual(['missing', 'late'])
  expect(rules(evidence(COMMITS, LAWFUL.slice(0, -2)))).toEqual(['missing'])
})

test('a floor that is missing from one partition is missing', () => {
  const commits = [commit(130n, [], ['item'])]
  const records = [claim(), claim(), epoch(), epoch(), floor(130n)].map((record, at): Recorded => {
    return { ...record, partition: at % 2, offset: BigInt(at) }
  })
  expect(breaches(evidence(commits, [], { partitions: 2, records }))).toEqual([
    'missing: partition 1: the floor of item at 130',
  ])
})

test('an event in another partition than its key’s is a phantom there, and missing where it belongs', () => {
  const other = 1 - partitionOf('a', 2)
  const records = [0, 1].flatMap((partition) =>
    heading().map((record, at): Recorded => ({ ...record, partition, offset: BigInt(at) })),
  )
  const stray: Recorded = { ...event('a', 110n), partition: other, offset: 2n }
  expect(rules(evidence([commit(110n, ['a'])], [], { partitions: 2, records: [...records, stray] })).sort()).toEqual([
    'missing',
    'phantom',
  ])
})

test('a watermark ahead of an event that it covers is late', () => {
  const commits = [commit(110n, ['a'])]
  expect(rules(evidence(commits, [...heading(), watermark(111n), ...heading(), event('a', 110n)]))).toEqual(['late'])
  expect(breaches(evidence(commits, [...heading(), watermark(110n), event('a', 110n)]))).toEqual([])
})

test('a watermark one beyond a commit’s end is ahead of the commit that touches it', () => {
  const commits = [commit(110n, ['a']), commit(120n, ['b'])]
  const records = [...heading(), event('a', 110n), watermark(121n), ...heading(), event('b', 120n)]
  expect(rules(evidence(commits, records))).toEqual(['late'])
})

test('a replay with a hole is late, although an earlier life had published the commit', () => {
  const commits = [commit(110n, ['a']), commit(120n, ['b']), commit(130n, ['c'])]
  const first = [...heading(), event('a', 110n), event('b', 120n), event('c', 130n)]
  expect(
    rules(evidence(commits, [...first, ...heading(), event('a', 110n), event('c', 130n), watermark(140n)])),
  ).toEqual(['late'])
})

test('events out of commit order, and a watermark that goes back, are out of order', () => {
  const commits = [commit(110n, ['a']), commit(120n, ['b'])]
  expect(rules(evidence(commits, [...heading(), event('b', 120n), event('a', 110n)]))).toEqual(['order'])
  expect(rules(evidence([], [...heading(), watermark(120n), watermark(119n)]))).toEqual(['order'])
})

test('an event of no commit, under another version, or of a key that the commit did not change is a phantom', () => {
  for (const record of [event('a', 115n), event('a', 130n), event('z', 110n), floor(110n)]) {
    expect(rules(evidence(COMMITS, [...LAWFUL, ...heading(), record]))).toEqual(['phantom'])
  }
})

test('another epoch, opened or published, is a breach; a claim of one whose opening was cut off is none', () => {
  const epochs = [1, 2].map((number) => ({ number, start: START }))
  expect(rules(evidence(COMMITS, LAWFUL, { epochs }))).toEqual(['one epoch'])
  expect(rules(evidence([], [...heading(), epoch(2)]))).toEqual(['one epoch'])
  const second = { epochs: [{ number: 2, start: START }] }
  expect(rules(evidence([], [claim(1), claim(2), epoch(2)], second))).toEqual([])
  expect(rules(evidence([], [], { epochs: [] }))).toEqual(['one epoch'])
})

test('whoever publishes without a claim, or without having announced the epoch, is a breach', () => {
  expect(rules(evidence([], [watermark(110n), ...heading()]))).toEqual(['unannounced'])
  expect(rules(evidence([], [claim(), watermark(110n)]))).toEqual(['unannounced'])
  expect(rules(evidence([], [epoch(), watermark(110n)]))).toEqual(['unannounced'])
  expect(rules(evidence([], [...heading(), watermark(110n), claim(), watermark(110n)]))).toEqual(['unannounced'])
  expect(rules(evidence([], [claim(), claim(), ...heading(), watermark(110n), claim(), ...heading()]))).toEqual([])
})

test('a position that was confirmed before every partition held its watermark is a breach', () => {
  const confirmed = (lsn: Lsn, end: bigint) => ({ confirmations: [{ confirmed: lsn, ends: [end] }] })
  expect(rules(evidence(COMMITS, LAWFUL, confirmed(120n, 5n)))).toEqual([])
  expect(rules(evidence(COMMITS, LAWFUL, confirmed(120n, 4n)))).toEqual(['confirmed'])
  expect(rules(evidence(COMMITS, LAWFUL, confirmed(121n, 5n)))).toEqual(['confirmed'])
  expect(rules(evidence(COMMITS, LAWFUL, confirmed(START, 0n)))).toEqual([])
})
