import {
  epochOf,
  formatLsn,
  isEncoded,
  lsnOf,
  type Position,
  parseLsn,
  parsePosition,
  position,
  type Version,
} from '@tidemark/protocol'

/** A position or version for a person: epoch, then the LSN as Postgres prints it, 1/16/B374D848. */
export function positionText(at: Position | Version): string {
  return `${epochOf(at)}/${formatLsn(lsnOf(at))}`
}

/** Reads what `positionText` writes, and the form that a view in Redis has; undefined for anything else. */
export function parsePositionText(text: string): Position | undefined {
  if (isEncoded(text)) return parsePosition(text)
  const [, epoch, lsn] = /^(\d{1,10})\/(.+)$/.exec(text) ?? []
  try {
    return epoch === undefined ? undefined : position(Number(epoch), parseLsn(lsn!))
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
