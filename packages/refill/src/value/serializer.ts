import { having, whole } from '../bounds.ts'

/**
 * Turns values into bytes and back. `decode(encode(x))` must equal x, or hits would differ from misses.
 *
 * The id stands in every cell that it wrote: an app with another serializer takes such a cell for none, and loads.
 */
export interface Serializer {
  /** 16–63; below is Tidemark's own. Take another one when what is written changes its form. */
  readonly id: number
  /** Throws on what `decode` could not give back. */
  encode(value: unknown): Buffer
  decode(bytes: Buffer): unknown
}

/** One of the forms that a value may have in a cell. */
export interface Form extends Omit<Serializer, 'encode'> {
  /** Null when another form is for it. */
  encode(value: unknown): Buffer | null
}

export const serializerSchema = having<Serializer>('a serializer: encode and decode', 'encode', 'decode').superRefine(
  ({ id }, context) => {
    if (whole(16, 63).safeParse(id).success) return
    context.addIssue({ code: 'custom', path: ['id'], message: 'must be 16-63: others are taken' })
  },
)
