import { expect, test } from '@jest/globals'
import type { KafkaRecord } from '@tidemark/kafka'
import { defineSource, encodeRecord, position, type TidemarkRecord, version } from '@tidemark/protocol'
import { repairsOf } from './repairs.ts'

const SOURCE = defineSource({
  name: 'shop',
  keyspaces: {
    product: { key: 'product:{id}', tables: {}, contract: { retainStaleMs: 5_000 } },
    order: { key: 'order:{id}', tables: {} },
  },
})

const RECORDS: TidemarkRecord[] = [
  { kind: 'claim', position: position(2, 0n), timeUs: 0n },
  { kind: 'epoch', position: position(2, 5n), systemIdentifier: 1n, timeline: 1, timeUs: 0n },
  { kind: 'event', key: 'product:1', keyspace: 'product', version: version(2, 20n), timeUs: 0n },
  // A life that goes on where the one before had been.
  { kind: 'event', key: 'product:1', keyspace: 'product', version: version(2, 10n), timeUs: 0n },
  { kind: 'event', key: 'order:1', keyspace: 'order', version: version(2, 30n), timeUs: 0n },
  { kind: 'event', key: 'gone:1', keyspace: 'gone', version: version(2, 31n), timeUs: 0n },
  { kind: 'floor', keyspace: 'order', position: position(2, 41n), timeUs: 0n },
  { kind: 'floor', keyspace: 'order', position: position(2, 35n), timeUs: 0n },
  { kind: 'watermark', position: position(2, 50n), timeUs: 0n },
]

function kafkaRecord(record: { key: Buffer | null; value: Buffer }, at: number): KafkaRecord {
  return { offset: `${at}`, ...record, batchContext: { producerId: '1', producerEpoch: 0, inTransaction: false } }
}

const records = RECORDS.map(encodeRecord).map(kafkaRecord)

test('events are folded to the newest of each key, floors to the highest; watermarks and claims repair nothing', () => {
  expect(repairsOf(records, SOURCE, undefined)).toEqual({
    epochStart: position(2, 5n),
    floors: [{ keyspace: 'order', position: position(2, 41n) }],
    events: [
      { key: 'product:1', version: version(2, 20n), retainStaleMs: 5_000 },
      { key: 'order:1', version: version(2, 30n), retainStaleMs: 0 },
      { key: 'gone:1', version: version(2, 31n), retainStaleMs: 0 },
    ],
    unreadable: 0,
  })
})

test('of one keyspace, the start of an epoch is its floor alone', () => {
  expect(repairsOf(records, SOURCE, 'product')).toEqual({
    epochStart: null,
    floors: [{ keyspace: 'product', position: position(2, 5n) }],
    events: [{ key: 'product:1', version: version(2, 20n), retainStaleMs: 5_000 }],
    unreadable: 0,
  })
})

test('a record that is not ours is counted', () => {
  const foreign = kafkaRecord({ key: null, value: Buffer.from('hello') }, 0)
  expect(repairsOf([foreign, ...records], SOURCE, 'order')).toMatchObject({
    unreadable: 1,
    events: [{ key: 'order:1' }],
  })
})
