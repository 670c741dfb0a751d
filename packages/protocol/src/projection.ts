import { z } from 'zod'

/**
 * How a row becomes the value of a keyspace that is updated in place: each name of the value, the column that gives it,
 * and as what. Text is as Postgres prints the column.
 */
export const projectionSchema = z.record(
  z.string().min(1),
  z.strictObject({
    column: z.string().min(1).describe('The column, spelt as in the catalog.'),
    as: z.enum(['text', 'number', 'boolean', 'json']).default('text').describe('What it is in the value.'),
  }),
)

export type Projection = z.output<typeof projectionSchema>
type Kind = Projection[string]['as']

/** A larger one is not sent: the change invalidates. */
export const MAX_PROJECTION_BYTES = 16_384

const NUMBER = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/

/**
 * The value of a row, as JSON; undefined when it cannot be known exactly, and the change has to invalidate instead.
 *
 * @param textOf the column in Postgres' text form, null, or undefined when the row's image does not hold it
 */
export function projectRow(
  projection: Projection,
  textOf: (column: string) => string | null | undefined,
): Buffer | undefined {
  const value: Record<string, unknown> = Object.create(null)
  for (const [name, { column, as }] of Object.entries(projection)) {
    const text = textOf(column)
    const read = text === undefined ? undefined : text === null ? null : readAs(as, text)
    if (read === undefined) return undefined
    value[name] = read
  }
  const payload = Buffer.from(JSON.stringify(value))
  return payload.length > MAX_PROJECTION_BYTES ? undefined : payload
}

function readAs(kind: Kind, text: string): unknown {
  switch (kind) {
    case 'text':
      return text
    case 'boolean':
      return text === 't' ? true : text === 'f' ? false : undefined
    case 'number':
      return numberIn(text)
    case 'json':
      return jsonIn(text)
  }
}

/** A bigint beyond what a number holds would come out as its neighbour. */
function numberIn(text: string): number | undefined {
  const n = NUMBER.test(text) ? Number(text) : Number.NaN
  if (!Number.isFinite(n)) return undefined
  return Number.isInteger(n) && !Number.isSafeInteger(n) ? undefined : n
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * What a loaded value has that the projection would not give, in words; null when the two agree. Readers would
 * otherwise be handed one shape after a load, and another after an update.
 */
export function misfitOf(projection: Projection, value: unknown): string | null {
  if (value === undefined || value === null) return null
  if (typeof value !== 'object' || Array.isArray(value)) return 'it is no object'
  const names = Object.keys(projection)
  const given = Object.keys(value)
  const extra = given.find((name) => !names.includes(name))
  if (extra !== undefined) return `it has ${JSON.stringify(extra)}, which the projection has not`
  for (const name of names) {
    if (!given.includes(name)) return `it lacks ${JSON.stringify(name)}`
    const found = (value as Record<string, unknown>)[name]
    const { as } = projection[name]!
    if (found !== null && as !== 'json' && typeof found !== TYPE_OF[as]) {
      return `${JSON.stringify(name)} is of type ${typeof found} instead of ${TYPE_OF[as]}`
    }
  }
  return null
}

const TYPE_OF = { text: 'string', number: 'number', boolean: 'boolean' } as const
