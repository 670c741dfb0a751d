/** A Postgres log sequence number: a byte offset into the write-ahead log, 64 bits. */
export type Lsn = bigint

export const MAX_LSN = 0xffff_ffff_ffff_ffffn

const LSN_TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/

/** Parses `16/B374D848`, padded or not. Throws a RangeError on anything else. */
export function parseLsn(text: string): Lsn {
  const match = LSN_TEXT.exec(text)
  if (!match) throw new RangeError(`not an LSN: ${JSON.stringify(text)}`)
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)
}

/** Formats as Postgres prints it: `16/B374D848`. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`
}

const WAL_BLOCK_BYTES = 8192n
const SHORT_HEADER_BYTES = 24n
const LONG_HEADER_BYTES = 40n

/**
 * Rounds a position that lies inside a WAL page header down to the page's start. No record can start in between, so
 * it is the same cut; the insert LSN names the end of the header while an idle walsender reports the page's start,
 * and without this a watermark would never reach the position that a session wrote at.
 *
 * @param segmentBytes the server's `wal_segment_size` in bytes: a segment's first page has the longer header
 * (`SizeOfXLogLongPHD` in Postgres' `xlog_internal.h`).
 */
export function roundDownInPageHeader(lsn: Lsn, segmentBytes: number): Lsn {
  const offset = lsn % WAL_BLOCK_BYTES
  const firstOfSegment = lsn % BigInt(segmentBytes) < WAL_BLOCK_BYTES
  return offset <= (firstOfSegment ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES) ? lsn - offset : lsn
}
