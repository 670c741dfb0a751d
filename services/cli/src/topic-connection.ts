import { type Cluster, createCluster, type KafkaConnection, kafkaClient, kafkaError } from '@tidemark/kafka'
import { TidemarkError } from '@tidemark/protocol'
import { serviceLog } from '@tidemark/service'
import { destination } from 'pino'
import { CLIENT, LOOK_MS } from './connections.ts'

/** Reads a topic without a consumer group. Each request has a deadline; how long all of them take is up to the reader. */
export async function withTopic<T>(
  connection: KafkaConnection,
  topic: string,
  read: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const log = serviceLog(CLIENT, 'fatal', destination(2))
  const cluster = createCluster(kafkaClient({ ...connection, clientId: CLIENT, requestTimeoutMs: LOOK_MS, log }))
  try {
    await cluster.connect()
    await cluster.addTargetTopic(topic)
    return await read(cluster)
  } catch (error) {
    if (isUnknownTopic(error)) throw noTopic(topic, error)
    throw kafkaError(error)
  } finally {
    await cluster.disconnect().catch(() => undefined)
  }
}

/** By Kafka's code for it; within kafkajs' retries it is a cause. */
function isUnknownTopic(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('type' in error && error.type === 'UNKNOWN_TOPIC_OR_PARTITION') || isUnknownTopic(error.cause)
}

function noTopic(topic: string, cause: unknown): TidemarkError {
  const mend = 'The publisher makes it when it starts, and tidemark init --yes does'
  return new TidemarkError('SERVER_UNREACHABLE', `there is no topic ${topic}`, { mend, cause })
}
