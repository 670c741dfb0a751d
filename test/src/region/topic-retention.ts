import { Kafka, logLevel } from 'kafkajs'

/** What retention does in time, at once: of each partition, everything is removed that it holds now. */
export async function removeAllRecords(brokers: readonly string[], topic: string): Promise<void> {
  const admin = new Kafka({ clientId: 'test', brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    const ends = await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({
      topic,
      partitions: ends.map(({ partition, high }) => ({ partition, offset: high })),
    })
  } finally {
    await admin.disconnect()
  }
}
