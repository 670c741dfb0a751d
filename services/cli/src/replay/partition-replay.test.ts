import { expect, test } from '@jest/globals'
import type { KafkaRecord } from '@tidemark/kafka'
import { encodeRecord, version } from '@tidemark/protocol'
import { type ReplaySurroundings, replayPartition } from './partition-replay.ts'
import type { Repairs } from './repairs.ts'

const NOTHING: Repairs = { epochStart: null, floors: [], events: [], unreadable: 0 }

function recordAt(offset: bigint): KafkaRecord {
  const event = encodeRecord({ kind: 'event', key: 'k:1', keyspace: 'k', version: version(1, offset), timeUs: 0n })
  return { offset: `${offset}`, ...event, batchContext: { producerId: '1', producerEpoch: 0, inTransaction: false } }
}

/** A log from `low` to before `high`, a thousand records a fetch; `overtaken` moves its beginning after the first fetch. */
class Log {
  readonly repaired: number[] = []
  readonly ending = new AbortController()
  #low: bigint
  readonly #high: bigint
  readonly #overtaken: bigint | undefined

  constructor(low: bigint, high: bigint, overtaken?: bigint) {
    this.#low = low
    this.#high = high
    this.#overtaken = overtaken
  }

  surroundings(more: Partial<ReplaySurroundings> = {}): ReplaySurroundings {
    return {
      read: (_, from, to) => this.#read(from, to),
      lowOf: async () => this.#low,
      repairsOf: (records) => {
        this.repaired.push(records.length)
        return NOTHING
      },
      repair: async () => 'replayed',
      passed: () => undefined,
      signal: this.ending.signal,
      ...more,
    }
  }

  async *#read(from: bigint, to: bigint) {
    for (let next = from; next < to; ) {
      if (next < this.#low) throw Object.assign(new Error('gone'), { type: 'OFFSET_OUT_OF_RANGE' })
      const before = [next + 1_000n, to, this.#high].reduce((a, b) => (a < b ? a : b))
      if (before <= next) return
      yield Array.from({ length: Number(before - next) }, (_, n) => recordAt(next + BigInt(n)))
      next = before
      this.#low = this.#overtaken ?? this.#low
    }
  }
}

const RANGE = { partition: 0, from: 10n, to: 2_310n, isCut: false }

test('a range is repaired in bounded batches, and no further than where it ends', async () => {
  const log = new Log(0n, 9_000n)
  expect(await replayPartition(RANGE, log.surroundings())).toEqual({ ending: 'done', next: 2_310n })
  expect(log.repaired).toEqual([500, 500, 500, 500, 300])
})

test('what retention removes meanwhile is told with where it went on', async () => {
  const log = new Log(0n, 9_000n, 1_510n)
  const replayed = await replayPartition(RANGE, log.surroundings())
  expect(replayed).toEqual({ ending: 'done', next: 2_310n, overtakenAt: 1_510n })
  expect(log.repaired.reduce((a, b) => a + b)).toBe(1_800)
})

test('an interruption ends it between batches, and says where', async () => {
  const log = new Log(0n, 9_000n)
  const replayed = await replayPartition(RANGE, log.surroundings({ passed: () => log.ending.abort() }))
  expect(replayed).toMatchObject({ ending: 'interrupted', next: 510n })
})

test('a view that is lost, and a log that ends early, end it and are told', async () => {
  const lost = await replayPartition(RANGE, new Log(0n, 9_000n).surroundings({ repair: async () => 'view-missing' }))
  expect(lost).toMatchObject({ ending: 'view-missing', next: 10n })
  const early = await replayPartition(RANGE, new Log(0n, 2_000n).surroundings())
  expect(early).toMatchObject({ ending: 'ended-early', next: 2_000n })
})

test('another error of Kafka is not taken for retention', async () => {
  const refused = Object.assign(new Error('x'), { type: 'OFFSET_OUT_OF_RANGE' })
  const read = async function* () {
    yield [recordAt(10n)]
    throw refused
  }
  await expect(replayPartition(RANGE, new Log(0n, 9_000n).surroundings({ read }))).rejects.toBe(refused)
})
