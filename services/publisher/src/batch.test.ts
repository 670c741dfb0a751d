import { expect, test } from '@jest/globals'
import { covers, decodeRecord, defineSource, type Keyspace, partitionOf, position, version } from '@tidemark/protocol'
import { Batch, type Message } from './batch.ts'
import type { Transaction } from './transaction.ts'

const SOURCE = defineSource({
  name: 'shop',
  keyspaces: { products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } },
})
const PRODUCTS: Keyspace = SOURCE.keyspaces.products
const WIDE = { maxRecords: 10_000, maxPartitionBytes: 1 << 20 }
const EPOCH = 3
const PARTITIONS = 4

function transaction(commitLsn: bigint, keys: readonly string[], floor = false): Transaction {
  return {
    kind: 'transaction',
    xid: 1,
    commitLsn,
    endLsn: commitLsn + 10n,
    commitTimeUs: commitLsn,
    floors: new Set(floor ? [PRODUCTS] : []),
    keys: new Map(keys.length > 0 ? [[PRODUCTS, new Set(keys)]] : []),
    projections: new Map(),
    bytes: 0,
  }
}

function sendsOf(transactions: readonly Transaction[], limits = WIDE, partitions = PARTITIONS) {
  const batch = new Batch(EPOCH, partitions)
  for (const t of transactions) batch.add(t)
  return [...batch.sends({ lsn: transactions.at(-1)?.endLsn ?? 1n, timeUs: 77n }, limits)]
}

function records(messages: readonly Message[], partition: number) {
  return messages.filter((m) => m.partition === partition).map((m) => decodeRecord(m.key, m.value))
}

test('I3: on every partition the watermark comes last and covers all events before it', () => {
  const keys = Array.from({ length: 50 }, (_, i) => `product:${i}`)
  const [send] = sendsOf([transaction(100n, keys.slice(0, 30)), transaction(110n, keys.slice(20))])
  for (let p = 0; p < PARTITIONS; p++) {
    const own = records(send!, p)
    const last = own.pop()
    expect(last).toEqual({ kind: 'watermark', position: position(EPOCH, 120n), timeUs: 77n })
    for (const r of own) expect(r.kind === 'event' && covers(position(EPOCH, 120n), r.version)).toBe(true)
  }
})

test('a key goes to its own partition alone, with the version and time of its commit', () => {
  const [send] = sendsOf([transaction(100n, ['product:7'])])
  const events = send!.filter((m) => m.key !== null)
  expect(events.map((m) => m.partition)).toEqual([partitionOf('product:7', PARTITIONS)])
  expect(decodeRecord(events[0]!.key, events[0]!.value)).toEqual({
    kind: 'event',
    key: 'product:7',
    keyspace: 'products',
    version: version(EPOCH, 100n),
    timeUs: 100n,
  })
})

test('a key that changed twice is sent once, with its newest version, in that version’s place', () => {
  const [send] = sendsOf(
    [transaction(100n, ['product:1']), transaction(110n, ['product:2']), transaction(120n, ['product:1'])],
    WIDE,
    1,
  )
  expect(records(send!, 0).map((r) => (r.kind === 'event' ? [r.key, r.version] : r.kind))).toEqual([
    ['product:2', version(EPOCH, 110n)],
    ['product:1', version(EPOCH, 120n)],
    'watermark',
  ])
})

test('a floor goes to every partition, at the smallest position that covers its commit', () => {
  const [send] = sendsOf([transaction(100n, [], true)])
  for (let p = 0; p < PARTITIONS; p++) {
    expect(records(send!, p)[0]).toEqual({
      kind: 'floor',
      keyspace: 'products',
      position: position(EPOCH, 101n),
      timeUs: 100n,
    })
  }
})

test('without transactions there is a watermark for every partition, and nothing else', () => {
  const [send, ...more] = sendsOf([])
  expect(more).toEqual([])
  expect(send!.map((m) => [m.partition, decodeRecord(m.key, m.value).kind])).toEqual(
    [0, 1, 2, 3].map((p) => [p, 'watermark']),
  )
})

test('I3: a batch that is too large goes in several sends, watermarks only in the last one', () => {
  const keys = Array.from({ length: 100 }, (_, i) => `product:${i}`)
  for (const limits of [
    { ...WIDE, maxRecords: 7 },
    { ...WIDE, maxPartitionBytes: 500 },
  ]) {
    const sends = sendsOf([transaction(100n, keys)], limits)
    expect(sends.length).toBeGreaterThan(3)
    for (const send of sends.slice(0, -1)) expect(send.every((m) => m.key !== null)).toBe(true)
    expect(sends.at(-1)!.filter((m) => m.key === null).length).toBe(PARTITIONS)
    expect(new Set(sends.flat().flatMap((m) => m.key?.toString() ?? [])).size).toBe(100)
  }
})

test('an event carries its projection; the newest event of a key decides whether there is one', () => {
  const payload = Buffer.from('{"name":"a"}')
  const plain = transaction(100n, ['product:1', 'product:2'])
  const projecting = { ...transaction(110n, ['product:1']), projections: new Map([['product:1', payload]]) }
  const named = { ...transaction(120n, ['product:1']), projections: new Map([['product:1', null]]) }
  const projectionsIn = (...transactions: readonly Transaction[]) =>
    records(sendsOf(transactions, WIDE, 1)[0]!, 0).flatMap((r) =>
      r.kind === 'event' ? [[r.key, r.projection?.toString()]] : [],
    )
  expect(projectionsIn(plain, projecting)).toEqual([
    ['product:2', undefined],
    ['product:1', '{"name":"a"}'],
  ])
  expect(projectionsIn(plain, projecting, named)).toEqual([
    ['product:2', undefined],
    ['product:1', undefined],
  ])
})

test('projections count for the limits of a send', () => {
  const keys = Array.from({ length: 20 }, (_, i) => `product:${i}`)
  const projections = new Map(keys.map((key) => [key, Buffer.alloc(1_000, 'x')]))
  const sends = sendsOf([{ ...transaction(100n, keys), projections }], { ...WIDE, maxPartitionBytes: 5_000 }, 1)
  expect(sends).toHaveLength(5)
})
