import type { Kafka } from 'kafkajs'

const METADATA_MAX_AGE_MS = 300_000

/**
 * Connections as the client's own producers have them, with its credentials; one request at a time to each broker. It is
 * what kafkajs 2.2.4 has inside and does not offer; the version is pinned.
 *
 * @typeParam Cluster the part of it that the caller uses
 */
export function createCluster<Cluster>(kafka: Kafka): Cluster {
  const create = Object.getOwnPropertySymbols(kafka).find((s) => s.description === 'private:Kafka:createCluster')
  if (create === undefined) throw new Error('this is not kafkajs 2.2.4')
  const internals = kafka as unknown as Record<symbol, (options: object) => Cluster>
  return internals[create]!({
    metadataMaxAge: METADATA_MAX_AGE_MS,
    allowAutoTopicCreation: false,
    maxInFlightRequests: 1,
  })
}
