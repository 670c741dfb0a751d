import type { Cluster, KafkaRecord } from './cluster.ts'

// kafkajs itself reads in consumer groups alone, which costs a start seconds, and rights that whoever reads a
// few records needs for nothing else.

const READ_UNCOMMITTED = 0
const MAX_FETCH_BYTES = 1024 * 1024
const MAX_FETCH_WAIT_MS = 1_000

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

/**
 * Of each partition, the offset of the first record that is not older than that time, in ms since 1970 by the clock that
 * the topic's `message.timestamp.type` names; its end where all are older.
 */
export async function offsetsAt(cluster: Cluster, topic: string, timeMs: number): Promise<ReadonlyMap<number, bigint>> {
  const ends = await endsOf(cluster, topic)
  const partitions = ends.map(({ partition }) => ({ partition }))
  const found = await offsets(cluster, { topic, fromBeginning: false, fromTimestamp: timeMs, partitions })
  return new Map(ends.map(({ partition, end }) => [partition, atOr(end, found.get(partition)!)]))
}

/** Kafka answers -1 for a record that there is not. */
function atOr(end: bigint, found: bigint): bigint {
  return found < 0n ? end : found
}

async function offsets(cluster: Cluster, asked: Parameters<Cluster['fetchTopicsOffset']>[0][number]) {
  const [answer] = await cluster.fetchTopicsOffset([asked])
  return new Map(answer!.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]))
}

/** Reads the records of a partition from one offset to before another, as many as are there. */
export async function readRange(
  cluster: Cluster,
  topic: string,
  partition: number,
  from: bigint,
  to: bigint,
): Promise<KafkaRecord[]> {
  const found: KafkaRecord[] = []
  for await (const records of streamRange(cluster, topic, partition, from, to)) found.push(...records)
  return found
}

/**
 * The same, one fetch's records at a time and one fetch after the other, so that memory holds no more than one: asked for
 * two at once, kafkajs opens a connection for each, and forgets all but the last. It ends before `to` where there is no more.
 */
export async function* streamRange(
  cluster: Cluster,
  topic: string,
  partition: number,
  from: bigint,
  to: bigint,
  maxBytes = MAX_FETCH_BYTES,
): AsyncGenerator<readonly KafkaRecord[]> {
  for (let next = from; next < to; ) {
    const fetched = await fetchAt(cluster, topic, partition, next, maxBytes)
    // A broker answers with whole batches: what stands before the offset comes along.
    const wanted = fetched.filter(({ offset }) => BigInt(offset) >= next && BigInt(offset) < to)
    if (wanted.length === 0) return
    yield wanted
    next = BigInt(wanted.at(-1)!.offset) + 1n
  }
}

/** Whether Kafka refused an offset: retention has removed it, or it lies beyond the end. */
export function isOutOfRange(error: unknown): boolean {
  return (error as { readonly type?: unknown } | undefined)?.type === 'OFFSET_OUT_OF_RANGE'
}

async function fetchAt(
  cluster: Cluster,
  topic: string,
  partition: number,
  offset: bigint,
  maxBytes: number,
): Promise<KafkaRecord[]> {
  const [nodeId] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]))
  const broker = await cluster.findBroker({ nodeId: nodeId! })
  const { responses } = await broker.fetch({
    isolationLevel: READ_UNCOMMITTED,
    maxWaitTime: MAX_FETCH_WAIT_MS,
    maxBytes,
    topics: [{ topic, partitions: [{ partition, fetchOffset: offset.toString(), maxBytes }] }],
  })
  return responses.flatMap(({ partitions }) => partitions.flatMap(({ messages }) => messages))
}
