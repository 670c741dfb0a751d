import { expect, test } from '@jest/globals'
import type { KafkaRecord } from '@tidemark/kafka'
import { encodeRecord, version } from '@tidemark/protocol'
import { newestEvent, type ReadRecords } from './newest-event.ts'

const CONTEXT = { producerId: '1', producerEpoch: 0, inTransaction: false }

function eventAt(offset: number, key: string, lsn: number): KafkaRecord {
  const event = { kind: 'event', key, keyspace: 'k', version: version(1, BigInt(lsn)), timeUs: 1_000n } as const
  return { offset: `${offset}`, ...encodeRecord(event), batchContext: CONTEXT }
}

/** Of 20,000 records that are all of other keys, but for those given. */
function topicWith(...events: readonly KafkaRecord[]) {
  const reads: [bigint, bigint][] = []
  const read: ReadRecords = async function* (from, to) {
    reads.push([from, to])
    yield events.filter(({ offset }) => BigInt(offset) >= from && BigInt(offset) < to)
  }
  return { reads, read }
}

const ENDS = { low: 0n, end: 20_000n }

test('the newest event is found from the end back, and nothing before it is read', async () => {
  const { reads, read } = topicWith(eventAt(100, 'k:1', 1), eventAt(15_000, 'k:1', 7), eventAt(19_999, 'k:2', 9))
  const { found, searched } = await newestEvent('k:1', ENDS, 100_000n, read)
  expect(found).toEqual({ version: version(1, 7n), offset: 15_000n, committedAtMs: 1 })
  expect(reads).toEqual([
    [15_904n, 20_000n],
    [7_712n, 15_904n],
  ])
  expect(searched).toBe(12_288n)
})

test('a publisher’s later life that begins with older events does not hide the newest', async () => {
  const { read } = topicWith(eventAt(19_000, 'k:1', 9), eventAt(19_500, 'k:1', 5))
  expect((await newestEvent('k:1', ENDS, 100_000n, read)).found?.version).toBe(version(1, 9n))
})

test('the search is bounded, and says whether that was all', async () => {
  const { reads, read } = topicWith(eventAt(100, 'k:1', 1))
  expect(await newestEvent('k:1', ENDS, 5_000n, read)).toEqual({ found: null, searched: 5_000n, isAll: false })
  expect(reads.at(-1)).toEqual([15_000n, 15_904n])
  expect(await newestEvent('k:3', ENDS, 100_000n, read)).toEqual({ found: null, searched: 20_000n, isAll: true })
  expect(await newestEvent('k:3', { low: 5n, end: 5n }, 9n, read)).toEqual({ found: null, searched: 0n, isAll: true })
})
