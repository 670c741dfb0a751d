import { COMPRESSION_SHIFT, decodePayload, encodePayload, FORM_MASK, type Payload } from '@tidemark/guard'
import { TidemarkError } from '@tidemark/protocol'
import { algorithmNamed, algorithmOf, type Compression, DEFAULT_MIN_BYTES } from './compression.ts'
import { plainJson } from './plain-json.ts'
import { richJson } from './rich-json.ts'
import type { Form, Serializer } from './serializer.ts'

/** A value as it is stored. */
export type Encoded = Pick<Payload, 'codec' | 'body'>

export interface ValueCodecOptions {
  readonly serializer?: Serializer | undefined
  readonly compression?: Compression | undefined
  /** Of a value before it is compressed: what a reader will need the memory for. */
  readonly maxValueBytes: number
}

/**
 * Between values and what a cell holds of them. Readers go by what the cell says and not by their own options: an app
 * that begins to compress, or no longer does, understands what it wrote before. What another app's serializer wrote is
 * not guessed at.
 */
export class ValueCodec {
  readonly #forms: readonly Form[]
  readonly #compression: Compression | undefined
  readonly #maxValueBytes: number

  constructor({ serializer, compression, maxValueBytes }: ValueCodecOptions) {
    this.#forms = serializer ? [serializer] : [plainJson, richJson]
    this.#compression = compression
    this.#maxValueBytes = maxValueBytes
  }

  /** Null when the value is larger than what may be cached. Throws VALUE_UNCACHEABLE, and what an app's serializer throws. */
  async encode(value: unknown): Promise<Encoded | null> {
    for (const form of this.#forms) {
      const body = form.encode(value)
      if (body === null) continue
      return body.length > this.#maxValueBytes ? null : this.#compressed({ codec: form.id, body })
    }
    throw new TidemarkError('VALUE_UNCACHEABLE', 'the serializer gives nothing for the value')
  }

  /** A payload as if its value had not been compressed; null when nobody can tell what that was. */
  async inflate(raw: Buffer): Promise<Buffer | null> {
    if (!isPayloadCompressed(raw)) return raw
    try {
      const payload = decodePayload(raw)
      const body = await this.#decompressed(payload.codec >> COMPRESSION_SHIFT, payload.body)
      return encodePayload({ ...payload, codec: payload.codec & FORM_MASK, body })
    } catch {
      return null
    }
  }

  /** Of what was inflated. Throws CELL_MALFORMED when no serializer of this app's wrote it, or it is no value at all. */
  decode({ codec, body }: Encoded): unknown {
    if (codec > FORM_MASK) throw malformed(`cannot be decompressed (codec ${codec}), or would be larger than may be`)
    const form = this.#forms.find(({ id }) => id === codec)
    if (!form) throw malformed(`was written by serializer ${codec}, which this app does not have`)
    try {
      return form.decode(body)
    } catch {
      // Without the cause: what JSON.parse throws quotes the value.
      throw malformed(`cannot be decoded (codec ${codec})`)
    }
  }

  async #compressed(plain: Encoded): Promise<Encoded> {
    const { algorithm, minBytes = DEFAULT_MIN_BYTES } = this.#compression ?? {}
    const chosen = algorithm && algorithmNamed(algorithm)
    if (!chosen || plain.body.length < minBytes) return plain
    const body = await chosen.compress(plain.body)
    if (body.length >= plain.body.length) return plain
    return { codec: plain.codec | (chosen.id << COMPRESSION_SHIFT), body }
  }

  async #decompressed(compression: number, body: Buffer): Promise<Buffer> {
    const algorithm = algorithmOf(compression)
    if (!algorithm) throw new RangeError('this Node has no such compression')
    return algorithm.decompress(body, this.#maxValueBytes)
  }
}

/** By its second byte, as payload.ts has it. */
export function isPayloadCompressed(raw: Buffer): boolean {
  return (raw[1] ?? 0) > FORM_MASK
}

function malformed(what: string): TidemarkError {
  return new TidemarkError('CELL_MALFORMED', `a value in Redis ${what}`)
}
