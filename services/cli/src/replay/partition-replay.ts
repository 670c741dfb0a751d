import type { ReplayResult } from '@tidemark/guard'
import { isOutOfRange, type KafkaRecord } from '@tidemark/kafka'
import type { Repairs } from './repairs.ts'
import type { ReplayRange } from './replay-plan.ts'

/** What the replay of a partition needs of its surroundings. */
export interface ReplaySurroundings {
  /** Records from one offset to before another, a fetch at a time. */
  readonly read: (partition: number, from: bigint, to: bigint) => AsyncIterable<readonly KafkaRecord[]>
  /** The offset at which Kafka's log of the partition begins now. */
  readonly lowOf: (partition: number) => Promise<bigint>
  readonly repairsOf: (records: readonly KafkaRecord[]) => Repairs
  readonly repair: (partition: number, repairs: Repairs) => Promise<ReplayResult['code']>
  /** Told after each batch. */
  readonly passed: (partition: number, next: bigint, records: number) => void
  readonly signal: AbortSignal
}

export type Ending = 'done' | 'interrupted' | 'ended-early' | Exclude<ReplayResult['code'], 'replayed'>

export interface Replayed {
  readonly ending: Ending
  /** Everything that was read lies before it. */
  readonly next: bigint
  /** Where it went on after retention had overtaken it, undefined when it never did. */
  readonly overtakenAt: bigint | undefined
}

/** Most records in one script: Redis does nothing else meanwhile, and live workers want it too. */
const MAX_BATCH_RECORDS = 500

/** Reads one partition's range and applies it as repairs, batch by batch. */
export async function replayPartition({ partition, from, to }: ReplayRange, s: ReplaySurroundings): Promise<Replayed> {
  let next = from
  let overtakenAt: bigint | undefined
  // Ends: each turn begins further on, since retention only moves forward.
  for (;;) {
    try {
      for await (const records of s.read(partition, next, to)) {
        for (const batch of batchesOf(records)) {
          if (s.signal.aborted) return { ending: 'interrupted', next, overtakenAt }
          const code = await s.repair(partition, s.repairsOf(batch))
          if (code !== 'replayed') return { ending: code, next, overtakenAt }
          next = BigInt(batch.at(-1)!.offset) + 1n
          s.passed(partition, next, batch.length)
        }
      }
      return { ending: next < to ? 'ended-early' : 'done', next, overtakenAt }
    } catch (error) {
      const low = isOutOfRange(error) ? await s.lowOf(partition) : next
      if (low <= next) throw error
      next = low
      overtakenAt = low
    }
  }
}

function* batchesOf(records: readonly KafkaRecord[]): Generator<readonly KafkaRecord[]> {
  for (let at = 0; at < records.length; at += MAX_BATCH_RECORDS) yield records.slice(at, at + MAX_BATCH_RECORDS)
}
