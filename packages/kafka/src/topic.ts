import { TidemarkError } from '@tidemark/protocol'
import type { Kafka } from 'kafkajs'

export interface TopicOptions {
  readonly topic: string
  readonly partitions: number
  readonly replicationFactor: number
}

/** Creates the topic if it is missing; throws TOPIC_MISMATCH if it has another number of partitions. */
export async function ensureTopic(kafka: Kafka, { topic, partitions, replicationFactor }: TopicOptions): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    // False when it exists, also when another publisher made it just now.
    await admin.createTopics({
      waitForLeaders: true,
      topics: [
        {
          topic,
          numPartitions: partitions,
          replicationFactor,
          configEntries: [{ name: 'cleanup.policy', value: 'delete' }],
        },
      ],
    })
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const found = topics[0]?.partitions.length ?? 0
    if (found !== partitions) throw wrongPartitions(topic, found, partitions)
  } finally {
    await admin.disconnect().catch(() => undefined)
  }
}

export function wrongPartitions(topic: string, found: number, wanted: number): TidemarkError {
  return new TidemarkError('TOPIC_MISMATCH', `topic ${topic} has ${found} partitions, the source says ${wanted}`, {
    mend: 'Say the same number, or give the source another topic: keys would land in the wrong partition',
  })
}
