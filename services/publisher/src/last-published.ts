import { type Cluster, endsOf, type KafkaRecord, type LogEnd, readRange } from '@tidemark/kafka'
import { decodeRecord, epochOf, isTidemarkError, type Position, parsePosition } from '@tidemark/protocol'

/** How far the topic goes, by its last records. */
export interface LastPublished {
  /** Of the partition that is furthest behind; undefined when some partition shows none. */
  readonly lowest: Position | undefined
  /** Of claims and announcements, too; 0 when there is no record at all. */
  readonly highestEpoch: number
  /** Whether nothing was ever written to the topic. */
  readonly isNew: boolean
}

/** Reads the records of a partition from one offset to before another, as many as are there. */
export type ReadRange = (partition: number, from: bigint, to: bigint) => Promise<readonly KafkaRecord[]>

/** What the end of one partition says. */
export interface Tail {
  /** Of the last record that is part of the stream; undefined when none was found. */
  readonly position: Position | undefined
  readonly highestEpoch: number
}

const FIRST_WINDOW = 8n
/** Every opening leaves a claim and an announcement: so many in a row without a watermark are taken for none. */
const MAX_SCANNED = 4_096n

/**
 * Reads back from the end, in windows that double, to the last record of the stream: claims and announcements are
 * written at every start, whether or not anything was published after it. Bounded by MAX_SCANNED.
 */
export async function tailOf({ partition, low, end }: LogEnd, read: ReadRange): Promise<Tail> {
  let highestEpoch = 0
  let window = FIRST_WINDOW
  for (let to = end; to > low && end - to < MAX_SCANNED; window *= 2n) {
    const from = to - window > low ? to - window : low
    for (const record of (await read(partition, from, to)).toReversed()) {
      const found = positionIn(record)
      highestEpoch = Math.max(highestEpoch, found?.epoch ?? 0)
      if (found?.position) return { position: found.position, highestEpoch }
    }
    to = from
  }
  return { position: undefined, highestEpoch }
}

/** Undefined for what is not ours: every worker calls it a gap, and it says nothing about what was published. */
function positionIn({ key, value }: KafkaRecord): { epoch: number; position: Position | undefined } | undefined {
  try {
    const record = decodeRecord(key, value)
    const at = record.kind === 'event' ? parsePosition(record.version) : record.position
    const isOfStream = record.kind !== 'claim' && record.kind !== 'epoch'
    return { epoch: epochOf(at), position: isOfStream ? at : undefined }
  } catch (error) {
    if (!isTidemarkError(error, 'RECORD_MALFORMED')) throw error
    return undefined
  }
}

/**
 * How far the topic goes. Everything that was confirmed to Postgres has a watermark at least as far: a slot that stands
 * beyond it was moved, or made anew, by somebody else, or the topic has lost its end.
 *
 * @param before what counts as each partition's end; the end itself where it is not given
 */
export async function readLastPublished(
  cluster: Cluster,
  topic: string,
  before: ReadonlyMap<number, bigint> = new Map(),
): Promise<LastPublished> {
  const ends = await endsOf(cluster, topic)
  const read: ReadRange = (partition, from, to) => readRange(cluster, topic, partition, from, to)
  const tails: Tail[] = []
  for (const e of ends) tails.push(await tailOf({ ...e, end: before.get(e.partition) ?? e.end }, read))
  return { ...summarise(tails), isNew: ends.every(({ end }) => end === 0n) }
}

export function summarise(tails: readonly Tail[]): Omit<LastPublished, 'isNew'> {
  const positions = tails.flatMap(({ position }) => position ?? []).sort()
  return {
    lowest: positions.length === tails.length ? positions[0] : undefined,
    highestEpoch: Math.max(0, ...tails.map((tail) => tail.highestEpoch)),
  }
}
