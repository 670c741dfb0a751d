import { z } from 'zod'
import { redactUrls } from './redaction.ts'

/** What there is to say about one setting. */
export interface SettingsField {
  readonly name: string
  /** In words: `integer >= 1`, `one of a, b`, `URL`. */
  readonly type: string
  /** As it would be written in the environment; undefined when there is none. Holds no password. */
  readonly defaultText: string | undefined
  readonly required: boolean
  readonly secret: boolean
  readonly description: string
}

interface FieldJson {
  readonly type?: string
  readonly format?: string
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly default?: unknown
  readonly description?: string
  readonly secret?: boolean
}

/** The fields of a settings schema, in its order. */
export function fieldsOf(schema: z.ZodObject): SettingsField[] {
  // The output side: every variable's input is text, and `z.coerce` says nothing about its own.
  const json = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' })
  const required = new Set(json.required)
  return Object.entries((json.properties ?? {}) as Record<string, FieldJson>).map(([name, field]) => {
    const secret = field.secret === true
    const defaultText = field.default === undefined ? undefined : secret ? '***' : redactUrls(textOf(field.default))
    return {
      name,
      type: typeOf(field),
      defaultText,
      required: required.has(name) && field.default === undefined,
      secret,
      description: field.description ?? '',
    }
  })
}

function textOf(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function typeOf(field: FieldJson): string {
  if (field.enum) return `one of ${field.enum.join(', ')}`
  if (field.format === 'uri') return 'URL'
  if (field.type === 'integer' || field.type === 'number') return [field.type, ...limitsOf(field)].join(' ')
  if (field.type === 'array') return 'list'
  return field.type ?? 'text'
}

function limitsOf({ minimum, maximum }: FieldJson): string[] {
  const low = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? [`>= ${minimum}`] : []
  const high = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? [`<= ${maximum}`] : []
  return [...low, ...high]
}
