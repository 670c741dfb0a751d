import { randomUUID } from 'node:crypto'
import { decodeRecord, epochOf, type Position, parsePosition } from '@tidemark/protocol'
import type { Kafka } from 'kafkajs'

/** How far the topic goes, by its last records. */
export interface LastPublished {
  /** Of the partition that is furthest behind; undefined when some partition has no record left. */
  readonly lowest: Position | undefined
  /** 0 when there is no record at all. */
  readonly highestEpoch: number
}

/**
 * Reads the last record of every partition. Every one that was confirmed to Postgres ends in a watermark at least as
 * far: a slot that stands beyond it was moved, or made anew, by somebody else, or the topic has lost its end.
 *
 * kafkajs reads in consumer groups alone, so this joins one of its own and removes it: no more than a start may cost.
 */
export async function readLastPublished(kafka: Kafka, topic: string): Promise<LastPublished> {
  const admin = kafka.admin()
  await admin.connect()
  const groupId = `tidemark.last-published.${topic}.${randomUUID()}`
  try {
    const ends = await admin.fetchTopicOffsets(topic)
    const last = new Map<number, bigint>()
    for (const { partition, low, high } of ends) if (BigInt(high) > BigInt(low)) last.set(partition, BigInt(high) - 1n)
    const positions = last.size === 0 ? [] : await readAt(kafka, groupId, topic, last)
    return summarise(positions, ends.length)
  } finally {
    await admin.deleteGroups([groupId]).catch(() => undefined)
    await admin.disconnect().catch(() => undefined)
  }
}

/** @param partitions how many the topic has; some may have given no position */
export function summarise(positions: readonly Position[], partitions: number): LastPublished {
  const [lowest, ...rest] = [...positions].sort()
  const highest = rest.at(-1) ?? lowest
  return {
    lowest: positions.length === partitions ? lowest : undefined,
    highestEpoch: highest === undefined ? 0 : epochOf(highest),
  }
}

async function readAt(
  kafka: Kafka,
  groupId: string,
  topic: string,
  offsets: ReadonlyMap<number, bigint>,
): Promise<Position[]> {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 })
  const found = new Map<number, Position>()
  const complete = Promise.withResolvers<void>()
  consumer.on(consumer.events.CRASH, ({ payload }) => complete.reject(payload.error))
  try {
    await consumer.connect()
    await consumer.subscribe({ topic })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        if (offsets.get(partition) !== BigInt(message.offset)) return
        const record = decodeRecord(message.key, message.value)
        found.set(partition, record.kind === 'event' ? parsePosition(record.version) : record.position)
        if (found.size === offsets.size) complete.resolve()
      },
    })
    for (const [partition, offset] of offsets) consumer.seek({ topic, partition, offset: offset.toString() })
    await complete.promise
    return [...found.values()]
  } finally {
    await consumer.disconnect().catch(() => undefined)
  }
}
