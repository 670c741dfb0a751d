import { channel } from 'node:diagnostics_channel'
import { expect, test } from '@jest/globals'
import { CHANNEL, type RefillEvent } from '@tidemark/refill'
import { recordRefills } from './refill-recorder.ts'

/** Counters that remember what they were told. */
function tally() {
  const counted: string[] = []
  const note =
    (name: string) =>
    (...labels: readonly string[]) =>
      void counted.push([name, ...labels].join(' '))
  const counters = {
    read: note('read'),
    refill: note('refill'),
    staleRefill: note('staleRefill'),
    sourceFailed: note('sourceFailed'),
    redisFailed: note('redisFailed'),
    leaseWait: note('leaseWait'),
    refreshUnfinished: note('refreshUnfinished'),
    versionRegression: note('versionRegression'),
  }
  return { counted, counters }
}

type Told = RefillEvent extends infer E
  ? E extends unknown
    ? Omit<E, 'source' | 'region' | 'keyspace'>
    : never
  : never

function countedOf(...events: readonly Told[]): string[] {
  const { counted, counters } = tally()
  using _ = recordRefills('shop', counters)
  for (const event of events) channel(CHANNEL).publish({ source: 'shop', region: 'r', keyspace: 'product', ...event })
  return counted
}

test('reads are counted by what became of them', () => {
  expect(
    countedOf(
      { event: 'read', from: 'redis', fresh: true, doubt: null },
      { event: 'read', from: 'primary', fresh: true, doubt: 'absent' },
      { event: 'read', from: 'redis', fresh: false, doubt: 'retained' },
      { event: 'readFailed', code: 'UNPROVABLE' },
      { event: 'readFailed', code: 'LOAD_FAILED' },
      { event: 'readFailed', code: null },
    ),
  ).toEqual([
    'read product fresh',
    'read product miss',
    'read product stale',
    'read product unprovable',
    'read product failed',
    'read product failed',
  ])
})

test('a refused replica and a refused fill are both stale refills, by their source', () => {
  expect(
    countedOf(
      { event: 'replicaLagging', replica: 'eu-1', lagBytes: 8 },
      { event: 'refill', from: 'primary', outcome: 'stored' },
      { event: 'refill', from: 'eu-1', outcome: 'stale' },
      { event: 'refill', from: 'eu-1', outcome: 'older' },
    ),
  ).toEqual([
    'staleRefill product eu-1',
    'refill product primary',
    'refill product eu-1',
    'staleRefill product eu-1',
    'refill product eu-1',
    'staleRefill product eu-1',
  ])
})

test('waits, regressions and failures are counted', () => {
  expect(
    countedOf(
      { event: 'leaseWait' },
      { event: 'versionRegression' },
      { event: 'redisFailed', error: new Error('away') },
      { event: 'sourceFailed', from: 'eu-1', error: new Error('away') },
    ),
  ).toEqual(['leaseWait product', 'versionRegression', 'redisFailed product', 'sourceFailed product eu-1'])
})

test('refreshes that failed or were put off are counted', () => {
  expect(countedOf({ event: 'refreshFailed', error: new Error('away') }, { event: 'refreshPutOff' })).toEqual([
    'refreshUnfinished product failed',
    'refreshUnfinished product put-off',
  ])
})

test('another source’s events, and those after the end, are not counted', () => {
  const { counted, counters } = tally()
  const recording = recordRefills('shop', counters)
  const event = { region: 'r', keyspace: 'product', event: 'leaseWait' }
  channel(CHANNEL).publish({ source: 'other', ...event })
  recording[Symbol.dispose]()
  channel(CHANNEL).publish({ source: 'shop', ...event })
  expect(counted).toEqual([])
})
