import { expect, test } from '@jest/globals'
import { position, version } from '@tidemark/protocol'
import { type Branch, BranchingHistory, type NotedReading } from './branching-history.ts'

const at = (epoch: number, lsn: number) => position(epoch, BigInt(lsn))
const commits = (...at: readonly (readonly [n: number, lsn: number])[]) =>
  new Map([['7', at.map(([n, lsn]) => ({ n, version: version(0, BigInt(lsn)) }))]])

/** Row 7: 11 is shared, 21 is lost with the first server, 32 is what the second one commits below it. */
const FIRST: Branch = { timeline: 1, commits: commits([11, 100], [21, 900]), parent: null, fork: new Map() }
const SECOND: Branch = { timeline: 2, commits: commits([32, 300]), parent: FIRST, fork: new Map([['7', 11]]) }
const EPOCHS = [
  { epoch: 1, timeline: 1 },
  { epoch: 2, timeline: 2 },
]
const history = new BranchingHistory([FIRST, SECOND], EPOCHS, SECOND)

/** A fresh reading of row 7, labelled from a commit's end to the position. */
function reading(n: number, epoch: number, lsn: number, more: Partial<NotedReading> = {}): NotedReading {
  const p = at(epoch, lsn)
  const common = { id: '7', freshness: 'fresh', doubt: null, from: 'redis', epochBefore: 1, epochAfter: 2 } as const
  return { ...common, n, position: p, label: { low: p, high: p }, ...more }
}

const unlabelled = { position: null, label: null, from: 'primary' }

test('what each epoch tells is true', () => {
  for (const true_ of [reading(11, 1, 200), reading(21, 1, 950), reading(11, 2, 250), reading(32, 2, 400)]) {
    expect(history.falsehoodIn(true_)).toBeNull()
  }
  expect(history.falsehoodIn(reading(32, 2, 0, unlabelled))).toBeNull()
})

test.each([
  ['a lost value, fresh by its own epoch after the next one was announced', reading(21, 1, 950, { epochBefore: 2 })],
  ['a lost value, fresh by the new epoch', reading(21, 2, 950)],
  ['a lost value, from a primary, after the announcement', reading(21, 1, 0, { ...unlabelled, epochBefore: 2 })],
  ['a value of the promoted server, fresh by the old epoch', reading(32, 1, 400)],
  ['a shared value at a position that covers the next commit of the new history', reading(11, 2, 400)],
  ['a shared value at a position that covers a lost commit, by the old epoch', reading(11, 1, 950)],
  ['a value by an epoch that was not announced yet', reading(32, 2, 400, { epochAfter: 1 })],
  ['a value from Redis at no position', reading(32, 2, 0, { ...unlabelled, from: 'redis' })],
  ['a value that nobody committed', reading(99, 2, 400)],
])('%s is caught', (_, false_) => expect(history.falsehoodIn(false_)).not.toBeNull())

test('lost is what the last server never had', () => {
  expect([11, 21, 32].filter((n) => history.isAbandoned('7', n))).toEqual([21])
})

const read = (reading: NotedReading) => ({ kind: 'read', reading }) as const
const wrote = (n: number) => ({ kind: 'wrote', id: '7', n }) as const

test('a session that saw what is lost is kept waiting until the log has passed it', () => {
  const saw = read(reading(21, 1, 950))
  expect(history.brokenPromises([saw, read(reading(32, 2, 950))])).toEqual([])
  expect(history.brokenPromises([saw, read(reading(32, 2, 899))])).toHaveLength(1)
  expect(history.brokenPromises([saw, read(reading(32, 2, 0, unlabelled))])).toHaveLength(1)
  expect(history.brokenPromises([saw, read(reading(11, 1, 850))])).toHaveLength(1)
  const told = reading(32, 2, 400, { freshness: 'stale', doubt: 'behind-session' })
  expect(history.brokenPromises([saw, read(told)])).toEqual([])
})

test('a session that saw the new history does not go back to the old one', () => {
  const saw = read(reading(32, 2, 400))
  expect(history.brokenPromises([saw, read(reading(21, 1, 950))])).toHaveLength(1)
})

test('what a session wrote and was lost binds cells by its position, and the primary of a later epoch not at all', () => {
  expect(history.brokenPromises([wrote(21), read(reading(32, 2, 400))])).toHaveLength(1)
  expect(history.brokenPromises([wrote(21), read(reading(32, 2, 400, { from: 'primary' }))])).toEqual([])
  expect(history.brokenPromises([wrote(32), read(reading(11, 2, 0, unlabelled))])).toHaveLength(1)
  expect(history.brokenPromises([wrote(21), read(reading(11, 1, 50, { from: 'primary' }))])).toHaveLength(1)
})

test('of two servers that were promoted one after the other, each loses its own', () => {
  const third: Branch = { timeline: 3, commits: commits([43, 250]), parent: SECOND, fork: new Map([['7', 11]]) }
  const three = new BranchingHistory([FIRST, SECOND, third], [...EPOCHS, { epoch: 3, timeline: 3 }], third)
  expect([11, 21, 32, 43].filter((n) => three.isAbandoned('7', n))).toEqual([21, 32])
  expect(three.falsehoodIn(reading(43, 3, 300, { epochAfter: 3 }))).toBeNull()
  expect(three.falsehoodIn(reading(32, 3, 300, { epochAfter: 3 }))).not.toBeNull()
  expect(three.falsehoodIn(reading(32, 2, 400, { epochBefore: 3, epochAfter: 3 }))).not.toBeNull()
})
