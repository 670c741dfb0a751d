import type { Cluster, KafkaRecord } from './cluster.ts'

// kafkajs itself reads in consumer groups alone, which costs a start seconds, and rights that whoever reads a
// few records needs for nothing else.

/** Where a partition begins and ends, or what is to be taken for its end. */
export interface LogEnd {
  readonly partition: number
  readonly low: bigint
  readonly end: bigint
}

/** Of each partition, asked now. */
export async function endsOf(cluster: Cluster, topic: string): Promise<LogEnd[]> {
  const partitions = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ partition: partitionId }))
  const low = await offsets(cluster, { topic, fromBeginning: true, partitions })
  const end = await offsets(cluster, { topic, fromBeginning: false, partitions })
  return partitions.map(({ partition }) => ({ partition, low: low.get(partition)!, end: end.get(partition)! }))
}

async function offsets(cluster: Cluster, asked: Parameters<Cluster['fetchTopicsOffset']>[0][number]) {
  const [answer] = await cluster.fetchTopicsOffset([asked])
  return new Map(answer!.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]))
}

/**
 * Reads the records of a partition from one offset to before another, as many as are there, one fetch after the other:
 * asked for two at once, kafkajs opens a connection for each, and forgets all but the last.
 */
export async function readRange(
  cluster: Cluster,
  topic: string,
  partition: number,
  from: bigint,
  to: bigint,
): Promise<KafkaRecord[]> {
  const found: KafkaRecord[] = []
  for (let next = from; next < to; ) {
    const fetched = await fetchAt(cluster, topic, partition, next)
    // A broker answers with whole batches: what stands before the offset comes along.
    const wanted = fetched.filter(({ offset }) => BigInt(offset) >= next && BigInt(offset) < to)
    if (wanted.length === 0) break
    found.push(...wanted)
    next = BigInt(wanted.at(-1)!.offset) + 1n
  }
  return found
}

const READ_UNCOMMITTED = 0
const MAX_FETCH_BYTES = 1024 * 1024
const MAX_FETCH_WAIT_MS = 1_000

async function fetchAt(cluster: Cluster, topic: string, partition: number, offset: bigint): Promise<KafkaRecord[]> {
  const [nodeId] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]))
  const broker = await cluster.findBroker({ nodeId: nodeId! })
  const { responses } = await broker.fetch({
    isolationLevel: READ_UNCOMMITTED,
    maxWaitTime: MAX_FETCH_WAIT_MS,
    maxBytes: MAX_FETCH_BYTES,
    topics: [{ topic, partitions: [{ partition, fetchOffset: offset.toString(), maxBytes: MAX_FETCH_BYTES }] }],
  })
  return responses.flatMap(({ partitions }) => partitions.flatMap(({ messages }) => messages))
}
