import { setTimeout as sleep } from 'node:timers/promises'
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
    const found = await countPartitions(admin, topic)
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
    // It would wait for leaders, and give up at a broker that has not heard of the topic yet.
    waitForLeaders: false,
    topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }],
  })
}

const MAX_LOOKS = 50
const LOOK_MS = 100
/** What brokers say of a topic that was made just now. */
const SETTLING = ['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE']

/** Once each partition has a leader. Bounded by MAX_LOOKS; then the broker's own answer is thrown. */
async function countPartitions(admin: Admin, topic: string): Promise<number> {
  for (let look = 1; ; look++) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0]?.partitions.length ?? 0
    } catch (error) {
      if (look === MAX_LOOKS || !isSettling(error)) throw error
    }
    await sleep(LOOK_MS)
  }
}

/** By Kafka's name for it; within kafkajs' retries it is a cause. */
function isSettling(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('type' in error && SETTLING.includes(String(error.type))) || isSettling(error.cause)
}

export function wrongPartitions(topic: string, found: number, wanted: number): TidemarkError {
  return new TidemarkError('TOPIC_MISMATCH', `topic ${topic} has ${found} partitions, the source says ${wanted}`, {
    mend: 'Say the same number, or give the source another topic: keys would land in the wrong partition',
  })
}
