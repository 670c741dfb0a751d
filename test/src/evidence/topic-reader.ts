import { randomUUID } from 'node:crypto'
import { waitUntil } from '@tidemark/local'
import { decodeRecord, type TidemarkRecord } from '@tidemark/protocol'
import { Kafka, logLevel } from 'kafkajs'

/** A record as it lies in Kafka. */
export interface TopicRecord {
  readonly record: TidemarkRecord
  readonly partition: number
  readonly offset: bigint
  /** Whose clock this is, the topic's `message.timestamp.type` says. */
  readonly timestampMs: number
}

/** Everything that a topic holds now, each partition in its order. */
export async function readTopic(
  brokers: readonly string[],
  topic: string,
  timeoutMs = 120_000,
): Promise<TopicRecord[]> {
  const kafka = new Kafka({ clientId: 'test', brokers: [...brokers], logLevel: logLevel.NOTHING })
  const left = await unreadOf(kafka, topic)
  const records: TopicRecord[] = []
  const consumer = kafka.consumer({ groupId: `read-${randomUUID()}`, maxWaitTimeInMs: 50 })
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        const { key, value, offset, timestamp } = message
        const record = decodeRecord(key, value)
        records.push({ record, partition, offset: BigInt(offset), timestampMs: Number(timestamp) })
        if (BigInt(offset) >= (left.get(partition) ?? 0n)) left.delete(partition)
      },
    })
    await waitUntil('the topic is read', () => left.size === 0, { timeoutMs })
    return records
  } finally {
    await consumer.disconnect()
  }
}

/** Of each partition that holds anything, the last offset. */
async function unreadOf(kafka: Kafka, topic: string): Promise<Map<number, bigint>> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    const ends = await admin.fetchTopicOffsets(topic)
    return new Map(ends.filter((e) => e.high !== e.low).map((e) => [e.partition, BigInt(e.high) - 1n]))
  } finally {
    await admin.disconnect()
  }
}
