import kafkajs, { type Admin, type Kafka } from 'kafkajs'

// Node finds but the first of this CommonJS module's names: the others come with the whole.

/** What a cluster says of a topic. */
export interface TopicFacts {
  readonly brokers: number
  /** Undefined when there is no such topic. */
  readonly topic: Topic | undefined
}

export interface Topic {
  readonly partitions: readonly PartitionFacts[]
  /** What is not set at the topic has its broker's value; undefined where the account may not ask (DescribeConfigs). */
  readonly settings: TopicSettings | undefined
}

/** Setting → value. */
export type TopicSettings = Readonly<Record<string, string>>

export interface PartitionFacts {
  readonly partition: number
  /** -1 while nobody leads. */
  readonly leader: number
  readonly replicas: number
  readonly inSync: number
  /** Offsets of its first record and of the one after its last. */
  readonly low: bigint
  readonly high: bigint
}

/** Reads all that is said of a topic, in four questions. */
export async function readTopic(kafka: Kafka, topic: string): Promise<TopicFacts> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    const { brokers } = await admin.describeCluster()
    if (!(await admin.listTopics()).includes(topic)) return { brokers: brokers.length, topic: undefined }
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const offsets = await admin.fetchTopicOffsets(topic)
    const partitions = (topics[0]?.partitions ?? []).map(({ partitionId, leader, replicas, isr }) => {
      const at = offsets.find(({ partition }) => partition === partitionId)
      const range = { low: BigInt(at?.low ?? 0), high: BigInt(at?.high ?? 0) }
      return { partition: partitionId, leader, replicas: replicas.length, inSync: isr.length, ...range }
    })
    return {
      brokers: brokers.length,
      topic: {
        partitions: partitions.sort((a, b) => a.partition - b.partition),
        settings: await readTopicSettings(admin, topic),
      },
    }
  } finally {
    await admin.disconnect().catch(() => undefined)
  }
}

async function readTopicSettings(admin: Admin, topic: string): Promise<TopicSettings | undefined> {
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
    })
    const entries = resources[0]?.configEntries ?? []
    return Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue]))
  } catch (error) {
    if ((error as { type?: unknown }).type === 'TOPIC_AUTHORIZATION_FAILED') return undefined
    throw error
  }
}
