import { expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import { serviceLog } from '@tidemark/service'
import type { FetchedRecord } from './batch.ts'
import { Bus, type PartitionHandler } from './bus.ts'
import { record } from './testing/record-words.ts'
import { RegionContext } from './testing/region-context.ts'

/** Takes everything, except what is held up; remembers what was taken, and how it was interrupted. */
class Hands implements PartitionHandler {
  readonly taken = new Map<number, bigint>()
  readonly begun: number[] = []
  #stuck: PromiseWithResolvers<void> | null = null
  #stuckPartition = -1

  assigned = (): void => undefined
  resume = async (partition: number): Promise<bigint> => this.taken.get(partition) ?? 0n

  async take(partition: number, records: readonly FetchedRecord[]): Promise<bigint> {
    this.begun.push(partition)
    if (partition === this.#stuckPartition) await this.#stuck!.promise
    const next = records.at(-1)!.offset + 1n
    this.taken.set(partition, next)
    return next
  }

  hold(partition: number): void {
    this.#stuck = Promise.withResolvers()
    this.#stuckPartition = partition
  }

  letGo(): void {
    this.#stuckPartition = -1
    this.#stuck?.resolve()
  }
}

test('a partition whose batch Redis keeps waiting holds up no other, has one batch in hand, and goes on after it', async () => {
  await using ctx = await RegionContext.open({ partitions: 2 })
  const bus = await Bus.open({
    brokers: ctx.brokers.split(','),
    clientId: 'bus-test',
    groupId: ctx.source.name,
    topic: ctx.source.topic,
    partitions: 2,
    partitionsConcurrently: 4,
    fetchMaxBytes: 1_048_576,
    fetchMinBytes: 1,
    fetchWaitMs: 50,
    sessionTimeoutMs: 2_000,
    silenceMs: 20_000,
    log: serviceLog('bus-test', 'silent'),
  })
  const hands = new Hands()
  const stopping = new AbortController()
  const consuming = bus.consume(hands, stopping.signal)
  const until = (partition: number, next: bigint) =>
    waitUntil(`partition ${partition} is at ${next}`, () => hands.taken.get(partition) === next, { timeoutMs: 20_000 })
  try {
    hands.hold(0)
    await ctx.publish(0, record.watermark(1))
    await waitUntil('it is stuck', () => hands.begun.includes(0), { timeoutMs: 20_000 })
    for (let n = 1n; n <= 5n; n++) {
      await ctx.publish(0, record.watermark(1))
      await ctx.publish(1, record.watermark(1))
      await until(1, n)
    }
    expect(hands.begun.filter((partition) => partition === 0)).toHaveLength(1)
    hands.letGo()
    await until(0, 6n)
  } finally {
    hands.letGo()
    stopping.abort()
    await consuming
    await bus.close()
  }
})
