import { once } from 'node:events'
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
  interrupted = 0
  #stuck: PromiseWithResolvers<void> | null = null
  #stuckPartition = -1

  assigned = (): void => undefined
  resume = async (partition: number): Promise<bigint> => this.taken.get(partition) ?? 0n

  async take(partition: number, records: readonly FetchedRecord[], signal: AbortSignal): Promise<bigint> {
    this.begun.push(partition)
    if (partition === this.#stuckPartition) await this.#wait(signal)
    const next = records.at(-1)!.offset + 1n
    this.taken.set(partition, next)
    return next
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const aborted = once(signal, 'abort').then(() => {
      this.interrupted += 1
      throw signal.reason
    })
    await Promise.race([this.#stuck!.promise, aborted])
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

function openBus(ctx: RegionContext): Promise<Bus> {
  return Bus.open({
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
}

test('a partition whose batch Redis keeps waiting holds up no other, has one batch in hand, and goes on after it', async () => {
  await using ctx = await RegionContext.open({ partitions: 2 })
  const bus = await openBus(ctx)
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

test('a batch that is in hand while the group assigns its partition anew is let go of, and decides nothing', async () => {
  await using ctx = await RegionContext.open({ partitions: 2 })
  const buses = [await openBus(ctx), await openBus(ctx)] as const
  const [first, second] = [new Hands(), new Hands()]
  const stopping = new AbortController()
  const consuming = [buses[0].consume(first, stopping.signal)]
  const highest = (partition: number) =>
    [first, second]
      .map((hands) => hands.taken.get(partition) ?? 0n)
      .sort()
      .at(-1)
  try {
    first.hold(1)
    await ctx.publish(1, record.watermark(1))
    await waitUntil('it is stuck', () => first.begun.includes(1), { timeoutMs: 20_000 })
    consuming.push(buses[1].consume(second, stopping.signal))
    // By the heartbeat that is refused or by the new assignment: nothing else can interrupt it.
    await waitUntil('it is let go of', () => first.interrupted === 1, { timeoutMs: 30_000 })
    await ctx.publish(0, record.watermark(1))
    const isTaken = () => highest(0) === 1n && second.begun.length > 0
    await waitUntil('the other has taken over', isTaken, { timeoutMs: 30_000 })
    first.letGo()
    await ctx.publish(1, record.watermark(1))
    await waitUntil('all is taken', () => highest(1) === 2n, { timeoutMs: 30_000 })
  } finally {
    stopping.abort()
    await Promise.all(consuming)
    await Promise.all(buses.map((bus) => bus.close()))
  }
})
