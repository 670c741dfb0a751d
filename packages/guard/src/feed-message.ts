import { type Position, TidemarkError, type Version } from '@tidemark/protocol'
import { decodeOffset, isHex, isPosition, isRecord } from './view.ts'

/** What one batch of a partition, one gap or one repair did to it, as subscribers are told: JSON, written by feed.lua. */
export interface FeedMessage {
  /** Kafka offsets of the batch: its first, and the one after its last. Equal for a gap and for a repair. */
  readonly from: bigint
  readonly next: bigint
  /** Of the view, after the batch. */
  readonly epoch: string
  readonly watermark: Position
  readonly newest: Version
  readonly beat: number
  /** All floors of the view, when one of them rose. */
  readonly floors?: Readonly<Record<string, Position>>
  /** The keys that were invalidated or updated, cached in Redis or not. */
  readonly keys: readonly string[]
  /** There were more of them than a message carries, and it names none. */
  readonly many: boolean
  /** The cause, while a gap is open. */
  readonly gap?: string
}

/** Decodes a message; throws CELL_MALFORMED on anything that feed.lua does not write. */
export function decodeFeedMessage(text: string): FeedMessage {
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch (cause) {
    throw malformed(cause)
  }
  if (!isMessage(message)) throw malformed()
  const { from, next, keys, many, ...rest } = message
  return { ...rest, from: decodeOffset(from), next: decodeOffset(next), keys: keys ?? [], many: many ?? false }
}

interface Written extends Omit<FeedMessage, 'from' | 'next' | 'keys' | 'many'> {
  readonly from: string
  readonly next: string
  readonly keys?: readonly string[]
  readonly many?: boolean
}

function isMessage(value: unknown): value is Written {
  if (!isRecord(value)) return false
  return (
    isHex(value.from, 16) &&
    isHex(value.next, 16) &&
    isHex(value.epoch, 8) &&
    isPosition(value.watermark) &&
    isPosition(value.newest) &&
    Number.isFinite(value.beat) &&
    (value.floors === undefined || (isRecord(value.floors) && Object.values(value.floors).every(isPosition))) &&
    (value.keys === undefined || isTexts(value.keys)) &&
    (value.many === undefined || typeof value.many === 'boolean') &&
    (value.gap === undefined || typeof value.gap === 'string')
  )
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function malformed(cause?: unknown): TidemarkError {
  return new TidemarkError('CELL_MALFORMED', 'a message of a feed is not what a batch tells', {
    mend: 'Find what else publishes to the channels under the key prefix',
    ...(cause === undefined ? {} : { cause }),
  })
}
