import { expect, test } from '@jest/globals'
import { type Position, position, version } from '@tidemark/protocol'
import type { TimedCommit } from '../evidence/commit-history.ts'
import type { AppNote, NotedRead, NotedSnapshot, SessionPlace } from './app-history.ts'
import { missingPaths, REQUIRED_PATHS } from './app-paths.ts'
import { breaches, failures } from './apps-check.ts'

const at = (lsn: bigint): Position => position(1, lsn)
const commit = (lsn: bigint, n: number): TimedCommit => ({ version: version(1, lsn), n, committedMs: Number(lsn) })

/** Rows 1 and 2 change together at 200 and at 300, row 3 alone at 400. */
const HISTORY = new Map([
  ['1', [commit(100n, 0), commit(200n, 1), commit(300n, 2)]],
  ['2', [commit(100n, 0), commit(200n, 1), commit(300n, 2)]],
  ['3', [commit(100n, 0), commit(400n, 1)]],
])

const place = (visit: number, step: number): SessionPlace => ({ session: 's', visit, step })

function read(id: string, n: number, more: Partial<NotedRead> = {}): NotedRead {
  const label = { low: at(101n), high: at(500n) }
  return {
    ...{ kind: 'read', keyspace: 'shown', id, n, cents: 1_000, freshness: 'fresh', doubt: null, position: null, label },
    ...{ from: 'redis', beganMs: 410, endedMs: 411, place: null, ...more },
  }
}

function rules(notes: readonly AppNote[], maxStalenessMs = 1_000): string[] {
  return [...new Set(breaches(notes, HISTORY, () => maxStalenessMs).map((breach) => breach.split(':')[0]!))]
}

test('what was true, current and in order breaks nothing', () => {
  const lawful: AppNote[] = [
    read('1', 2, { position: at(350n) }),
    { kind: 'wrote', id: '3', n: 1, place: place(0, 0) },
    read('3', 1, { place: place(0, 1) }),
    snapshot(210n, 300n, pair(1, 900, 1_100)),
    snapshot(250n, 500n, pair(2, 900, 1_100), false),
  ]
  expect(rules(lawful)).toEqual([])
})

const pair = (n: number, one: number, other: number) => [
  { id: '1', n, cents: one },
  { id: '2', n, cents: other },
]

test('I1 a label, or a position, that covers what the value lacks is an overclaim', () => {
  expect(rules([read('1', 1, { label: { low: at(301n), high: at(500n) } })])).toEqual(['I1'])
  expect(rules([read('1', 1, { position: at(301n) })])).toEqual(['I1'])
})

test('I1 a label that denies what is in the value is untrue, also of a stale one', () => {
  expect(rules([read('1', 2, { freshness: 'stale', label: { low: at(101n), high: at(300n) } })])).toEqual(['I1'])
})

test('I7 what ceased to be true longer ago than the contract allows may not be called fresh', () => {
  expect(rules([read('1', 1)], 100)).toEqual(['I7'])
  expect(rules([read('1', 1)], 120)).toEqual([])
  expect(rules([read('1', 1, { freshness: 'stale' })], 100)).toEqual([])
})

test('a session that does not read what it wrote, in another process, was broken its promise', () => {
  const wrote: AppNote = { kind: 'wrote', id: '1', n: 2, place: place(0, 0) }
  expect(rules([read('1', 1, { place: place(1, 0) }), wrote])).toEqual(['session'])
  expect(rules([read('1', 1, { place: { ...place(1, 0), session: 'another' } }), wrote])).toEqual([])
})

test('a session that saw one commit reads no row as of before it, nor the same row older', () => {
  const seen = read('3', 1, { place: place(0, 0) })
  expect(rules([seen, read('1', 1, { place: place(0, 1) })])).toEqual(['session'])
  expect(rules([read('1', 2, { place: place(0, 0) }), read('1', 1, { place: place(0, 1) })])).toEqual(['session'])
  expect(rules([seen, read('1', 2, { place: place(0, 1) })])).toEqual([])
})

const snapshot = (low: bigint, high: bigint, rows: NotedSnapshot['rows'], isExact = true): AppNote => ({
  ...{ kind: 'snapshot', at: { low: at(low), high: at(high) }, isExact, rows },
})

test('a snapshot that is torn, or of another position than it says, is untrue', () => {
  const torn = [{ id: '1', n: 1, cents: 900 }, pair(2, 900, 1_100)[1]!]
  expect(rules([snapshot(210n, 310n, torn, false)])).toEqual(['snapshot'])
  expect(rules([{ kind: 'snapshot', at: null, isExact: false, rows: torn }])).toEqual(['snapshot'])
  expect(rules([snapshot(210n, 300n, pair(1, 900, 1_101))])).toEqual(['snapshot'])
  expect(rules([snapshot(210n, 301n, pair(1, 900, 1_100))])).toEqual(['snapshot'])
  expect(rules([snapshot(200n, 300n, pair(1, 900, 1_100))])).toEqual(['snapshot'])
  expect(rules([snapshot(301n, 500n, pair(1, 900, 1_100), false)])).toEqual(['snapshot'])
})

test('a read that fails with what the contract does not say is a failure', () => {
  const refused = (code: string | null): AppNote => ({ kind: 'refused', keyspace: 'shown', code, message: 'why' })
  expect(failures([refused('UNPROVABLE'), refused(null), refused('LOAD_FAILED')])).toEqual([
    'shown: null: why',
    'shown: LOAD_FAILED: why',
  ])
})

test('a way that was not taken is missing', () => {
  expect(missingPaths({})).toEqual(Object.keys(REQUIRED_PATHS))
  expect(missingPaths({ 'read: fresh from redis': 3 })).not.toContain('a hit')
})
