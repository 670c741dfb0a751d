import type { Kafka } from 'kafkajs'
import { createCluster } from './cluster.ts'
import { refusalOf } from './refusal.ts'

/** Whose coordinator: a consumer group's, or a transactional id's. */
export interface Coordinated {
  readonly type: 'group' | 'transaction'
  readonly id: string
}

/**
 * The error, or what is behind it. Of a coordinator kafkajs tells only that none was found, and swallows why: it is asked
 * for once more, past kafkajs, which tells a missing ACL from a broker that has just started.
 */
export async function coordinatorCause(error: unknown, kafka: Kafka, what: Coordinated): Promise<unknown> {
  if (!(error instanceof Error) || error.name !== 'KafkaJSGroupCoordinatorNotFound') return error
  return (await refusalOfCoordinator(kafka, what)) ?? error
}

async function refusalOfCoordinator(kafka: Kafka, { type, id }: Coordinated): Promise<unknown> {
  const cluster = createCluster(kafka)
  try {
    await cluster.connect()
    const broker = await cluster.brokerPool.findConnectedBroker()
    await broker.findGroupCoordinator({ groupId: id, coordinatorType: COORDINATOR_TYPES[type] })
    return undefined
  } catch (error) {
    return refusalOf(error) && error
  } finally {
    await cluster.disconnect().catch(() => undefined)
  }
}

const COORDINATOR_TYPES = { group: 0, transaction: 1 } as const
