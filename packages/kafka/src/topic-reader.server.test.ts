import { randomBytes } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { localServers } from '@tidemark/local'
import { Kafka, logLevel } from 'kafkajs'
import { type Cluster, createCluster, type KafkaRecord } from './cluster.ts'
import { endsOf, isOutOfRange, offsetsAt, readRange, streamRange } from './topic-reader.ts'

/** A topic of one partition that holds the numbers from 0 on, ten a batch, each batch a second after the one before. */
class NumberedTopic implements AsyncDisposable {
  readonly topic = `numbers.${randomBytes(4).toString('hex')}`
  readonly kafka = new Kafka({ brokers: localServers().kafkaBrokers.split(','), logLevel: logLevel.NOTHING })
  readonly admin = this.kafka.admin()
  readonly cluster: Cluster = createCluster(this.kafka)

  static async of(count: number): Promise<NumberedTopic> {
    const made = new NumberedTopic()
    await made.admin.connect()
    await made.admin.createTopics({ topics: [{ topic: made.topic, numPartitions: 1 }] })
    await made.#fill(count)
    await made.cluster.connect()
    await made.cluster.addTargetTopic(made.topic)
    return made
  }

  async #fill(count: number): Promise<void> {
    const producer = this.kafka.producer()
    await producer.connect()
    for (let first = 0; first < count; first += 10) {
      const timestamp = String(BASE_MS + first * 100)
      const messages = Array.from({ length: 10 }, (_, n) => ({ value: String(first + n), timestamp }))
      await producer.send({ topic: this.topic, messages })
    }
    await producer.disconnect()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.disconnect()
    await this.admin.deleteTopics({ topics: [this.topic] })
    await this.admin.disconnect()
  }
}

const BASE_MS = Date.UTC(2026, 0, 1)

const numbers = (records: readonly KafkaRecord[]) => records.map(({ value }) => Number(value))

test('a range is read from the very offset to before the other, however little a fetch brings', async () => {
  await using made = await NumberedTopic.of(50)
  const { cluster, topic } = made
  expect(numbers(await readRange(cluster, topic, 0, 7n, 33n))).toEqual(Array.from({ length: 26 }, (_, n) => n + 7))
  const fetches: number[][] = []
  // A broker gives a whole batch, however small the limit.
  for await (const records of streamRange(cluster, topic, 0, 7n, 33n, 1)) fetches.push(numbers(records))
  expect(fetches.map((f) => f.length)).toEqual([3, 10, 10, 3])
  expect(fetches.flat()).toEqual(Array.from({ length: 26 }, (_, n) => n + 7))
  // Beyond the end there is nothing to wait for.
  expect(await readRange(cluster, topic, 0, 48n, 60n)).toHaveLength(2)
})

test('a time gives the first record that is not older, and the end where all are', async () => {
  await using made = await NumberedTopic.of(30)
  const at = async (ms: number) => (await offsetsAt(made.cluster, made.topic, BASE_MS + ms)).get(0)
  expect([await at(-1), await at(0), await at(1), await at(1_000), await at(2_001)]).toEqual([0n, 0n, 10n, 10n, 30n])
})

test('what retention has removed is refused, not read over', async () => {
  await using made = await NumberedTopic.of(30)
  const { admin, cluster, topic } = made
  // The client knows the leaders only of topics that it has asked about.
  await admin.fetchTopicOffsets(topic)
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '12' }] })
  expect(await endsOf(cluster, topic)).toEqual([{ partition: 0, low: 12n, end: 30n }])
  const refused = await readRange(cluster, topic, 0, 5n, 20n).catch((error: unknown) => error)
  expect(isOutOfRange(refused)).toBe(true)
  expect(numbers(await readRange(cluster, topic, 0, 12n, 14n))).toEqual([12, 13])
})
