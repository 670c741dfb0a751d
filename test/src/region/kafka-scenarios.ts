import type { KafkaCluster, KafkaServer } from '@tidemark/local'
import type { NetworkedKafka } from '../outage/networked-kafka.ts'
import { lasting, type Scenario } from './region.ts'
import { removeAllRecords } from './topic-retention.ts'

/** Cut off for this long, a worker is not ready any more. */
export const STALL_MS = 3_000

/** The one broker is killed, and started again on what it has on its disk. */
export function brokerKilled(kafka: KafkaServer): Scenario {
  return {
    servers: { brokers: [kafka.brokers] },
    workers: 1,
    fault: async (_, { ms }) => {
      await kafka.kill()
      await lasting(ms)
      await kafka.start()
    },
  }
}

/** Of three brokers the one that leads a partition is killed, another leads it meanwhile, and the first one comes back. */
export function leaderKilled(cluster: KafkaCluster): Scenario {
  return {
    servers: { brokers: cluster.brokers.split(',') },
    publisherEnv: { TIDEMARK_KAFKA_REPLICATION_FACTOR: String(cluster.nodes.length) },
    workers: 2,
    fault: async ({ context: { source } }, { ms }) => {
      const leader = await cluster.leaderOf(source.topic)
      await leader.kill()
      await cluster.failedOverFrom(leader, source.topic)
      await lasting(ms)
      await leader.start()
    },
  }
}

/** The region's way to Kafka swallows everything; the publisher, elsewhere, goes on. */
export function cutOffFromKafka({ server, network, networkedBrokers }: NetworkedKafka): Scenario {
  return {
    servers: { brokers: [server.brokers], workersBrokers: [networkedBrokers] },
    workers: 1,
    workerEnv: () => ({ TIDEMARK_STALL_MS: String(STALL_MS) }),
    fault: async (_, { ms }) => {
      network.silence()
      await lasting(ms)
      network.cut()
      await network.restore()
    },
  }
}

/** The region has no worker, and when it has one again, retention has removed what it would have gone on with. */
export const RETENTION_PASSED: Scenario = {
  workers: 1,
  fault: async ({ context, workers: [worker] }, { ms }) => {
    await worker!.stop()
    await lasting(ms / 2)
    await removeAllRecords(context.pipeline.servers.brokers, context.source.topic)
    await lasting(ms / 2)
    await worker!.start()
  },
}
