import { setTimeout as sleep } from 'node:timers/promises'
import {
  decodeCell,
  decodePayload,
  decodeView,
  GENERATIONS,
  type Label,
  partitionKeys,
  type View,
} from '@tidemark/guard'
import type { Version } from '@tidemark/protocol'
import type { ChainableCommander } from 'ioredis'
import type { RegionContext, RegionKey } from './region-context.ts'
import type { Counter } from './region-source.ts'

/** What Redis held of a partition at one instant. */
export interface PartitionSample {
  readonly partition: number
  /** By the wall clock, around the instant. */
  readonly beganMs: number
  readonly endedMs: number
  readonly view: View | null
  readonly keys: readonly SampledKey[]
}

export interface SampledKey {
  readonly key: RegionKey
  readonly cell: { readonly state: 'live' | 'stale'; readonly label: Label; readonly n: number } | null
  /** The newest of all generations. */
  readonly tombstone: Version | null
}

const EVERY_MS = 100
const KEYS_A_SAMPLE = 24

/** Looks into the region's Redis all the time: of each partition in turn the view, and some keys' cells and tombstones. */
export class PartitionSamples implements AsyncDisposable {
  readonly samples: PartitionSample[] = []
  /** Looks that Redis did not answer. */
  failed = 0
  readonly #context: RegionContext
  readonly #ending = new AbortController()
  readonly #ended: Promise<void>

  constructor(context: RegionContext) {
    this.#context = context
    this.#ended = this.#watch()
  }

  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ending
    const partitions = this.#context.keysByPartition()
    for (let round = 0; !signal.aborted; round++) {
      for (const [partition, keys] of partitions) {
        const from = (round * KEYS_A_SAMPLE) % keys.length
        await this.#sample(partition, keys.slice(from, from + KEYS_A_SAMPLE))
      }
      await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  async #sample(partition: number, keys: readonly RegionKey[]): Promise<void> {
    try {
      this.samples.push(await samplePartition(this.#context, partition, keys))
    } catch {
      this.failed++
    }
  }
}

/** One transaction of Redis: nothing is applied between the view and what it is held against. */
export async function samplePartition(
  { redis, source }: RegionContext,
  partition: number,
  keys: readonly RegionKey[],
): Promise<PartitionSample> {
  const names = partitionKeys(source.keyPrefix, partition)
  const beganMs = Date.now()
  const transaction: ChainableCommander = redis.multi()
  transaction.mgetBuffer(names.view, ...keys.map(({ key }) => names.cell(key)))
  for (const generation of names.generations) transaction.hmget(generation, ...keys.map(({ key }) => key))
  const answers = (await transaction.exec()) ?? []
  const [cells, ...generations] = answers.map(([error, answer]) => {
    if (error) throw error
    return answer
  }) as [(Buffer | null)[], ...(Version | null)[][]]
  if (generations.length !== GENERATIONS) throw new Error('the transaction was not run as a whole')
  const keysSampled = keys.map((key, i): SampledKey => {
    const tombstones = generations.map((generation) => generation[i]).filter((v) => v != null)
    return { key, cell: cellIn(cells[i + 1] ?? null), tombstone: tombstones.sort().at(-1) ?? null }
  })
  return { partition, beganMs, endedMs: Date.now(), view: decodeView(cells[0] ?? null), keys: keysSampled }
}

function cellIn(raw: Buffer | null): SampledKey['cell'] {
  const cell = decodeCell(raw)
  if (cell === null) return null
  const { state, label, payload } = cell
  return { state, label, n: (JSON.parse(decodePayload(payload).body.toString()) as Counter).n }
}
