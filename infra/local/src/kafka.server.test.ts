import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { localServers } from './given-servers.ts'
import { KafkaServer } from './kafka.ts'
import { brokersAnswer } from './kafka-client.ts'
import { waitUntil } from './wait.ts'

const IN_TIME = { timeoutMs: 20_000 }
const TOPIC = 'item'

function clientOf(brokers: string): Kafka {
  return new Kafka({ clientId: 'test', brokers: [brokers], logLevel: logLevel.NOTHING })
}

async function createTopic(brokers: string): Promise<void> {
  const admin = clientOf(brokers).admin()
  await admin.connect()
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic: TOPIC, numPartitions: 1, replicationFactor: 1 }] })
  await admin.disconnect()
}

async function produce(brokers: string, value: string): Promise<void> {
  const producer = clientOf(brokers).producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  await producer.send({ topic: TOPIC, acks: -1, messages: [{ key: 'k', value }] })
  await producer.disconnect()
}

/** Joins a group, so that the coordinator is asked too. */
async function consume(brokers: string, groupId: string, messages: number): Promise<string[]> {
  const consumer = clientOf(brokers).consumer({ groupId })
  const values: string[] = []
  await consumer.connect()
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => void values.push(String(message.value)) })
  await waitUntil(`${messages} messages are consumed`, () => values.length >= messages, IN_TIME)
  await consumer.disconnect()
  return values
}

async function clusterId(brokers: string): Promise<string> {
  const admin = clientOf(brokers).admin()
  await admin.connect()
  const cluster = await admin.describeCluster()
  await admin.disconnect()
  return cluster.clusterId
}

let server: KafkaServer

beforeAll(async () => {
  server = await KafkaServer.start()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

test('records that were acknowledged survive a SIGKILL and an orderly stop, on the same port', async () => {
  const { brokers } = server
  await createTopic(brokers)
  await produce(brokers, 'first')
  await server.kill()
  expect(server.isRunning).toBe(false)
  await server.start()
  await produce(brokers, 'second')
  await server.restart()
  expect(await consume(brokers, 'readers', 2)).toEqual(['first', 'second'])
  expect(server.brokers).toBe(brokers)
})

test('a paused broker keeps its connections and answers when it goes on', async () => {
  server.pause()
  await expect(brokersAnswer(server.brokers)).rejects.toThrow()
  server.resume()
  await waitUntil('the broker answers again', () => brokersAnswer(server.brokers), IN_TIME)
})

test('a topic that nobody created is an error, not a new topic', async () => {
  const admin = clientOf(server.brokers).admin()
  await admin.connect()
  await expect(admin.fetchTopicMetadata({ topics: ['misspelt'] })).rejects.toThrow('does not host this topic-partition')
  await admin.disconnect()
})

test('every broker is a cluster of its own', async () => {
  expect(await clusterId(server.brokers)).not.toBe(await clusterId(localServers().kafkaBrokers))
})
