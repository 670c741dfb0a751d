import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { withAdmin } from './kafka-client.ts'
import { KafkaCluster } from './kafka-cluster.ts'
import { waitUntil } from './wait.ts'

const TOPIC = 'item'
const IN_TIME = { timeoutMs: 30_000, everyMs: 200 }

let cluster: KafkaCluster

beforeAll(async () => {
  cluster = await KafkaCluster.start()
  const topics = [{ topic: TOPIC, numPartitions: 1 }]
  await withAdmin(cluster.brokers, (admin) => admin.createTopics({ topics }))
}, 120_000)

afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
})

async function produce(...values: string[]): Promise<void> {
  const kafka = new Kafka({ brokers: cluster.brokers.split(','), logLevel: logLevel.NOTHING })
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  await producer.send({ topic: TOPIC, acks: -1, messages: values.map((value) => ({ value })) })
  await producer.disconnect()
}

async function inSync(): Promise<number> {
  const { topics } = await withAdmin(cluster.brokers, (admin) => admin.fetchTopicMetadata({ topics: [TOPIC] }))
  return topics[0]!.partitions[0]!.isr.length
}

test('a partition whose leader is killed is led by another, and the old one is let in again', async () => {
  await produce('before')
  const leader = await cluster.leaderOf(TOPIC)
  await leader.kill()
  const next = await cluster.failedOverFrom(leader, TOPIC)
  expect(next.port).not.toBe(leader.port)
  await produce('meanwhile')
  await leader.start()
  await waitUntil('all three are in sync', async () => (await inSync()) === 3, IN_TIME)
})
