import { TidemarkError } from '@tidemark/protocol'

/** A value as a cell holds it, with what its readers need to know beside the label. Of the Lua commands `inspect` alone looks inside. */
export interface Payload {
  /** How the body was made from the value: its form, and in the two upper bits how it is compressed. Workers write 0. */
  readonly codec: number
  /** When it was stored, ms since 1970 by its writer's clock. It bounds times to live and orders nothing. */
  readonly storedAt: number
  /** How long its load took, in ms: what an early refresh is weighed by. 0 for a value that was not loaded. */
  readonly costMs: number
  /** Keys of other rows, and of tags, whose invalidation makes it stale too. */
  readonly dependencies: readonly string[]
  readonly body: Buffer
}

/** What is to be encoded: what is not said is plain, cost nothing, and depends on nothing. */
export type NewPayload = Pick<Payload, 'body' | 'storedAt'> & Partial<Payload>

/** Of a codec: 0 is not compressed. */
export const COMPRESSION_SHIFT = 6
export const FORM_MASK = 0x3f

const FORMAT = 1
const HEAD_BYTES = 14
const MAX_COST_MS = 0xffff_ffff
export const MAX_DEPENDENCIES = 1_000

/**
 * Encodes a payload, big-endian: format (1 byte), codec (1), time of storing in ms (6), cost in ms (4), number of
 * dependencies (2), then each one's length (2) and UTF-8 bytes, then the body.
 */
export function encodePayload({ codec = 0, storedAt, costMs = 0, dependencies = [], body }: NewPayload): Buffer {
  if (dependencies.length > MAX_DEPENDENCIES) throw new RangeError(`more than ${MAX_DEPENDENCIES} dependencies`)
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt8(FORMAT, 0)
  head.writeUInt8(codec, 1)
  head.writeUIntBE(Math.floor(storedAt), 2, 6)
  head.writeUInt32BE(Math.min(MAX_COST_MS, Math.round(costMs)), 8)
  head.writeUInt16BE(dependencies.length, 12)
  return Buffer.concat([head, ...dependencies.flatMap(lengthAndText), body])
}

function lengthAndText(key: string): Buffer[] {
  const text = Buffer.from(key, 'utf8')
  const length = Buffer.alloc(2)
  length.writeUInt16BE(text.length)
  return [length, text]
}

/** Decodes a payload; throws CELL_MALFORMED on anything else. */
export function decodePayload(raw: Buffer): Payload {
  if (raw.length < HEAD_BYTES || raw[0] !== FORMAT) throw malformed()
  const dependencies: string[] = []
  let at = HEAD_BYTES
  for (let left = raw.readUInt16BE(12); left > 0; left--) {
    const from = at + 2
    at = from <= raw.length ? from + raw.readUInt16BE(at) : raw.length + 1
    if (at > raw.length) throw malformed()
    dependencies.push(raw.toString('utf8', from, at))
  }
  return {
    codec: raw[1]!,
    storedAt: raw.readUIntBE(2, 6),
    costMs: raw.readUInt32BE(8),
    dependencies,
    body: raw.subarray(at),
  }
}

function malformed(): TidemarkError {
  return new TidemarkError('CELL_MALFORMED', 'a value in Redis is not of payload format 1', {
    mend: 'Find what else writes under the key prefix',
  })
}
