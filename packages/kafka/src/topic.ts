import { TidemarkError } from '@tidemark/protocol'
import type { Admin, Kafka } from 'kafkajs'

export interface TopicOptions {
  readonly topic: string
  readonly partitions: number
  readonly replicationFactor: number
}

const DAY_MS = 86_400_000

/**
 * What a source's topic is made with. All of it is said, for a broker's own defaults may be anything:
 *
 * - records are deleted by age alone. Compacted, an event would go before every region has applied it; kept by size,
 *   how long a region may be away would depend on how busy the source is;
 * - nobody is elected who lacks what was acknowledged, and with three copies two must have it;
 * - a record's age is told by the broker's clock: by a publisher's that is late, records would be deleted before their
 *   time, and from one that is early the broker takes none at all.
 */
export function topicSettings(replicationFactor: number): Readonly<Record<string, string>> {
  return {
    'cleanup.policy': 'delete',
    'retention.ms': String(7 * DAY_MS),
    'retention.bytes': '-1',
    'min.insync.replicas': replicationFactor >= 3 ? '2' : '1',
    'unclean.leader.election.enable': 'false',
    'message.timestamp.type': 'LogAppendTime',
    'max.message.bytes': String(1024 * 1024),
  }
}

/**
 * Creates the topic if it is missing; throws TOPIC_MISMATCH if it has another number of partitions.
 * @returns whether it was created
 */
export async function ensureTopic(kafka: Kafka, options: TopicOptions): Promise<boolean> {
  const { topic, partitions } = options
  const admin = kafka.admin()
  await admin.connect()
  try {
    // Asked first: whoever may not create topics is refused also where the topic exists.
    const isThere = (await admin.listTopics()).includes(topic)
    const created = !isThere && (await createTopic(admin, options))
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const found = topics[0]?.partitions.length ?? 0
    if (found !== partitions) throw wrongPartitions(topic, found, partitions)
    return created
  } finally {
    await admin.disconnect().catch(() => undefined)
  }
}

/** False when it exists after all: another publisher made it just now. */
function createTopic(admin: Admin, { topic, partitions, replicationFactor }: TopicOptions): Promise<boolean> {
  const configEntries = Object.entries(topicSettings(replicationFactor)).map(([name, value]) => ({ name, value }))
  return admin.createTopics({
    waitForLeaders: true,
    topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }],
  })
}

export function wrongPartitions(topic: string, found: number, wanted: number): TidemarkError {
  return new TidemarkError('TOPIC_MISMATCH', `topic ${topic} has ${found} partitions, the source says ${wanted}`, {
    mend: 'Say the same number, or give the source another topic: keys would land in the wrong partition',
  })
}
