import { type KafkaConnection, kafkaClient, kafkaError } from '@tidemark/kafka'
import { connect, disconnect } from '@tidemark/postgres'
import { TidemarkError } from '@tidemark/protocol'
import { serviceLog, withDeadline } from '@tidemark/service'
import { Redis } from 'ioredis'
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

export async function withRedis<T>(url: string, ask: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: LOOK_MS / 2,
    commandTimeout: LOOK_MS / 2,
    maxRetriesPerRequest: 0,
    // A server that is still loading is an answer, not something to wait for.
    enableReadyCheck: false,
    retryStrategy: () => null,
  })
  // The command in hand is rejected with the same error.
  redis.on('error', () => undefined)
  try {
    await redis.connect()
    return await withDeadline(ask(redis), LOOK_MS, 'no answer from Redis')
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new TidemarkError('SERVER_UNREACHABLE', `Redis: ${message}`, { cause: error })
  } finally {
    if (redis.status !== 'end') redis.disconnect()
  }
}
