import { expect, test } from '@jest/globals'
import type { KafkaRecord } from '@tidemark/kafka'
import { encodeRecord, position, type TidemarkRecord, version } from '@tidemark/protocol'
import { type ReadRange, summarise, tailOf } from './last-published.ts'

const watermark = (epoch: number, lsn: bigint): TidemarkRecord => ({
  kind: 'watermark',
  position: position(epoch, lsn),
  timeUs: 0n,
})
const claim = (epoch: number): TidemarkRecord => ({ kind: 'claim', position: position(epoch, 0n), timeUs: 0n })
const announcement = (epoch: number, lsn: bigint): TidemarkRecord => ({
  ...{ kind: 'epoch', position: position(epoch, lsn), systemIdentifier: 9n, timeline: 1, timeUs: 0n },
})
const event = (epoch: number, lsn: bigint): TidemarkRecord => ({
  ...{ kind: 'event', key: 'product:1', keyspace: 'products', version: version(epoch, lsn), timeUs: 0n },
})

/** A partition that begins at offset 100, and every range of it that was read. */
function partition(...records: readonly (TidemarkRecord | 'garbage')[]) {
  const low = 100n
  const asked: [bigint, bigint][] = []
  const log = records.map((record, i): KafkaRecord => {
    const encoded = record === 'garbage' ? { key: null, value: Buffer.from('not ours') } : encodeRecord(record)
    const batchContext = { producerId: '1', producerEpoch: 0, inTransaction: false }
    return { offset: `${low + BigInt(i)}`, ...encoded, batchContext }
  })
  const read: ReadRange = async (_, from, to) => {
    asked.push([from, to])
    return log.slice(Number(from - low), Number(to - low))
  }
  return { asked, read, end: { partition: 0, low, end: low + BigInt(records.length) } }
}

test('the last record of the stream counts: claims and announcements come after it at every start', async () => {
  const { read, end } = partition(watermark(3, 50n), event(3, 60n), claim(3), announcement(3, 10n), claim(3))
  expect(await tailOf(end, read)).toEqual({ position: position(3, 60n), highestEpoch: 3 })
})

test('the highest epoch is that of whoever claimed the highest, though an older publisher came after it', async () => {
  const { read, end } = partition(watermark(4, 50n), claim(5), claim(4))
  expect(await tailOf(end, read)).toEqual({ position: position(4, 50n), highestEpoch: 5 })
})

test('what is not ours is passed over', async () => {
  const { read, end } = partition(watermark(4, 50n), 'garbage', claim(4))
  expect(await tailOf(end, read)).toEqual({ position: position(4, 50n), highestEpoch: 4 })
})

test('it reads back in windows that double, never twice the same, and not before the log begins', async () => {
  const claims = Array.from({ length: 30 }, () => claim(2))
  const { read, end, asked } = partition(...claims)
  expect(await tailOf(end, read)).toEqual({ position: undefined, highestEpoch: 2 })
  expect(asked).toEqual([
    [122n, 130n],
    [106n, 122n],
    [100n, 106n],
  ])
})

test('so many claims in a row that nothing else is found are as good as no record: the scan is bounded', async () => {
  const { read, end, asked } = partition(watermark(2, 50n), ...Array.from({ length: 10_000 }, () => claim(2)))
  expect((await tailOf(end, read)).position).toBeUndefined()
  expect(asked.reduce((sum, [from, to]) => sum + Number(to - from), 0)).toBeLessThan(10_000)
})

test('the partition that is furthest behind counts, an older epoch being further behind than any LSN', () => {
  const tails = [position(3, 10n), position(2, 99n), position(3, 50n)].map((at) => ({ position: at, highestEpoch: 3 }))
  expect(summarise(tails)).toEqual({ lowest: position(2, 99n), highestEpoch: 3 })
})

test('a partition without a record leaves nothing that is on all of them', () => {
  const one = { position: position(3, 10n), highestEpoch: 3 }
  const none = { position: undefined, highestEpoch: 4 }
  expect(summarise([one, none])).toEqual({ lowest: undefined, highestEpoch: 4 })
  expect(summarise([])).toEqual({ lowest: undefined, highestEpoch: 0 })
})
