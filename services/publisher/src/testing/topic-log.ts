import { createCluster, endsOf, readRange } from '@tidemark/kafka'
import { decodeRecord, type TidemarkRecord } from '@tidemark/protocol'
import { Kafka, logLevel } from 'kafkajs'

/** A record and the producer that wrote it, by id and epoch, which Kafka keeps beside it. */
export interface Written {
  readonly partition: number
  readonly offset: bigint
  readonly producer: string
  readonly inTransaction: boolean
  readonly record: TidemarkRecord
}

/** All that a topic holds, by partition. For tests alone. */
export async function readTopicLog(brokers: readonly string[], topic: string): Promise<Written[][]> {
  const cluster = createCluster(new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }))
  await cluster.connect()
  try {
    await cluster.addTargetTopic(topic)
    const log: Written[][] = []
    for (const { partition, low, end } of await endsOf(cluster, topic)) {
      const records = await readRange(cluster, topic, partition, low, end)
      log[partition] = records.map(
        ({ offset, key, value, batchContext: { producerId, producerEpoch, inTransaction } }) => ({
          ...{ partition, offset: BigInt(offset), producer: `${producerId}:${producerEpoch}`, inTransaction },
          record: decodeRecord(key, value),
        }),
      )
    }
    return log
  } finally {
    await cluster.disconnect()
  }
}

/** Records whose producer had been followed, in their partition, by another. */
export function fromZombies(log: readonly (readonly Written[])[]): Written[] {
  return log.flatMap((partition) => {
    const seen = new Set<string>()
    let newest: string | undefined
    return partition.filter(({ producer }) => {
      if (producer !== newest && seen.has(producer)) return true
      newest = producer
      seen.add(producer)
      return false
    })
  })
}

export function producersOf(log: readonly (readonly Written[])[]): Set<string> {
  return new Set(log.flat().map((w) => w.producer))
}
