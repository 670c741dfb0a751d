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

const APP_IDS = { from: 16, to: 63 }

export function serializerMistakes(serializer: Serializer | undefined): string[] {
  const { from, to } = APP_IDS
  const id = serializer?.id ?? from
  return Number.isInteger(id) && id >= from && id <= to ? [] : [`serializer.id must be ${from}-${to}`]
}
