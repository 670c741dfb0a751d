import { type KafkaConnection, kafkaClient, kafkaError } from '@tidemark/kafka'
import { connect, disconnect } from '@tidemark/postgres'
import { type RedisConnection, RegionRedis } from '@tidemark/redis'
import { serviceLog, withDeadline } from '@tidemark/service'
import type { Kafka } from 'kafkajs'
import type { Client } from 'pg'
import { destination } from 'pino'

/** How the command calls itself to every server. */
export const CLIENT = 'tidemark-cli'

/** How long all that is asked of one server may take: a part that is down must not hold the others' answers up. */
export const LOOK_MS = 10_000

/** Asks a Postgres server within `timeoutMs`; the server gives up as well. */
export async function withPostgres<T>(
  url: string,
  ask: (client: Client) => Promise<T>,
  timeoutMs = LOOK_MS,
): Promise<T> {
  const client = await connect(url, CLIENT, () => undefined)
  try {
    const answer = client.query(`set statement_timeout = ${timeoutMs}`).then(() => ask(client))
    return await withDeadline(answer, timeoutMs, 'no answer from Postgres')
  } finally {
    await disconnect(client)
  }
}

export async function withKafka<T>(
  connection: KafkaConnection,
  ask: (kafka: Kafka) => Promise<T>,
  timeoutMs = LOOK_MS,
): Promise<T> {
  const log = serviceLog(CLIENT, 'fatal', destination(2))
  const kafka = kafkaClient({ ...connection, clientId: CLIENT, requestTimeoutMs: timeoutMs, log })
  try {
    return await withDeadline(ask(kafka), timeoutMs, 'no answer from Kafka')
  } catch (error) {
    throw kafkaError(error)
  }
}

/** Asks the Redis of a region. Throws RedisError. */
export async function withRedis<T>(connection: RedisConnection, ask: (redis: RegionRedis) => Promise<T>): Promise<T> {
  return withRedisOpen(connection, (redis) => withDeadline(ask(redis), LOOK_MS, 'no answer from Redis'))
}

/** The same for as long as it takes: only each command has a deadline. */
export async function withRedisOpen<T>(
  connection: RedisConnection,
  use: (redis: RegionRedis) => Promise<T>,
): Promise<T> {
  const redis = new RegionRedis(connection, { clientName: CLIENT, commandTimeoutMs: LOOK_MS / 2, once: true })
  try {
    return await use(redis)
  } finally {
    redis.close()
  }
}
