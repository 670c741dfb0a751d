import { encodeRecord, type Position, position, type TidemarkRecord, version } from '@tidemark/protocol'
import type { FetchedRecord } from '../batch.ts'

/** Records in the words of a test: versions and positions by their LSN, in epoch 1 unless said otherwise. */
export const record = {
  event: (key: string, lsn: number, epoch = 1): TidemarkRecord & { kind: 'event' } => ({
    kind: 'event',
    key,
    keyspace: key.split(':')[0]!,
    version: version(epoch, BigInt(lsn)),
    timeUs: BigInt(Date.now()) * 1000n,
  }),
  watermark: (lsn: number, epoch = 1, timeMs = Date.now()): TidemarkRecord & { kind: 'watermark' } => ({
    kind: 'watermark',
    position: position(epoch, BigInt(lsn)),
    timeUs: BigInt(timeMs) * 1000n,
  }),
  floor: (keyspace: string, lsn: number, epoch = 1): TidemarkRecord & { kind: 'floor' } => ({
    kind: 'floor',
    keyspace,
    position: position(epoch, BigInt(lsn)),
    timeUs: BigInt(Date.now()) * 1000n,
  }),
  epoch: (epoch: number, lsn: number): TidemarkRecord & { kind: 'epoch' } => ({
    kind: 'epoch',
    position: position(epoch, BigInt(lsn)),
    systemIdentifier: 7n,
    timeline: 1,
    timeUs: BigInt(Date.now()) * 1000n,
  }),
  claim: (epoch: number): TidemarkRecord & { kind: 'claim' } => ({
    kind: 'claim',
    position: position(epoch, 0n),
    timeUs: 0n,
  }),
}

export const at = (lsn: number, epoch = 1): Position => position(epoch, BigInt(lsn))

/** As Kafka would give them, from that offset on. */
export function fetched(from: bigint, ...records: readonly TidemarkRecord[]): FetchedRecord[] {
  return records.map((r, i) => ({ offset: from + BigInt(i), ...encodeRecord(r) }))
}
