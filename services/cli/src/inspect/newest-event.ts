import type { KafkaRecord } from '@tidemark/kafka'
import { decodeRecord, type TidemarkRecord, type Version } from '@tidemark/protocol'

/** The newest event of a key that the topic holds. */
export interface FoundEvent {
  readonly version: Version
  readonly offset: bigint
  /** By the primary's clock, ms since 1970. */
  readonly committedAtMs: number
}

export interface EventSearch {
  readonly found: FoundEvent | null
  /** Records looked at, from the end back. */
  readonly searched: bigint
  /** Whether that is all that the topic holds of the partition. */
  readonly isAll: boolean
}

export type ReadRecords = (from: bigint, to: bigint) => AsyncIterable<readonly KafkaRecord[]>

const FIRST_WINDOW = 4_096n

/** Reads back from the end, in windows that double, each of them forwards. Memory holds one fetch; `maxRecords` bounds it. */
export async function newestEvent(
  key: string,
  { low, end }: { readonly low: bigint; readonly end: bigint },
  maxRecords: bigint,
  read: ReadRecords,
): Promise<EventSearch> {
  const first = end - maxRecords > low ? end - maxRecords : low
  let to = end
  for (let window = FIRST_WINDOW; to > first; window *= 2n) {
    const from = to - window > first ? to - window : first
    const found = await newestIn(key, read(from, to))
    to = from
    if (found) return { found, searched: end - to, isAll: to === low }
  }
  return { found: null, searched: end - to, isAll: to === low }
}

async function newestIn(key: string, records: AsyncIterable<readonly KafkaRecord[]>): Promise<FoundEvent | null> {
  const wanted = Buffer.from(key)
  let newest: FoundEvent | null = null
  for await (const fetched of records) {
    for (const record of fetched) {
      const event = record.key?.equals(wanted) ? eventIn(record) : undefined
      // A publisher's later life may begin with older ones.
      if (event === undefined || (newest !== null && newest.version > event.version)) continue
      newest = {
        version: event.version,
        offset: BigInt(record.offset),
        committedAtMs: Number(event.timeUs / 1000n),
      }
    }
  }
  return newest
}

function eventIn({ key, value }: KafkaRecord): (TidemarkRecord & { kind: 'event' }) | undefined {
  const record = decodeRecord(key, value)
  return record.kind === 'event' ? record : undefined
}
