import type { KafkaRecord } from '@tidemark/kafka'
import { decodeRecord, isTidemarkError, type Position, parsePosition } from '@tidemark/protocol'

/** A record of the stream: an event, a floor or a watermark. */
export interface StreamRecord {
  readonly offset: bigint
  readonly position: Position
}

/** The first record of the stream from one offset on, and before another. */
export type Probe = (from: bigint, before: bigint) => Promise<StreamRecord | undefined>

/**
 * An offset of one partition from which on everything lies that is not below `wanted`, by halving: about log2 of the
 * records in probes. What lies there may begin with older records: a replay of those changes nothing.
 *
 * Positions do not only grow: each publisher's life goes on at, or before, what was confirmed. Halving is sound all the same.
 * A life writes in commit order, so after one of its records below `wanted` comes whatever is not: there, in a later life
 * (perhaps one that the workers have yet to apply), or under the floor of an epoch that was opened over it, later too.
 * That does not hold of claims and announcements: every life begins with them, wherever it goes on. They are stepped over.
 */
export async function offsetOfVersion(low: bigint, end: bigint, wanted: Position, probe: Probe): Promise<bigint> {
  let from = low
  for (let before = end; from < before; ) {
    const middle = from + (before - from) / 2n
    const found = await probe(middle, before)
    if (found !== undefined && found.position < wanted) from = found.offset + 1n
    else before = middle
  }
  return from
}

/** The first record of the stream among those that were read; what is not ours says nothing of where the stream is. */
export function firstOfStream(records: readonly KafkaRecord[]): StreamRecord | undefined {
  for (const { offset, key, value } of records) {
    const position = streamPosition(key, value)
    if (position !== undefined) return { offset: BigInt(offset), position }
  }
  return undefined
}

function streamPosition(key: Buffer | null, value: Buffer | null): Position | undefined {
  try {
    const record = decodeRecord(key, value)
    if (record.kind === 'claim' || record.kind === 'epoch') return undefined
    return record.kind === 'event' ? parsePosition(record.version) : record.position
  } catch (error) {
    if (!isTidemarkError(error, 'RECORD_MALFORMED')) throw error
    return undefined
  }
}
