import { z } from 'zod'
import { type Contract, contractSchema } from './contract.ts'
import { TidemarkError } from './errors.ts'
import { isKeyOf, type KeyTemplate, type KeyValue, parseTemplate, templatesOverlap } from './key-template.ts'
import { type Projection, projectionSchema } from './projection.ts'
import { MAX_KEYSPACE_BYTES } from './record.ts'
import { TAG_KEY, TAG_KEYSPACE, TAG_TEMPLATE } from './tag.ts'

const NAME = /^[a-z][a-z0-9_-]*$/
const POSTGRES_NAME = /^[a-z_][a-z0-9_]{0,62}$/
const name = (max: number) =>
  z.string().max(max).regex(NAME, 'must start with a lower-case letter and hold only a-z, 0-9, _ and -')

const keyspaceSchema = z.strictObject({
  key: z.string().describe('The key template, such as product:{id}.'),
  tables: z
    .record(
      z.string().regex(/^[^.]+\..+$/, 'must be schema.table, spelt as in the catalog'),
      z.record(z.string(), z.string().min(1)),
    )
    .describe(
      'Which tables change the value: schema.table → the column that gives each param of the key. Empty for what only ' +
        'tidemark.invalidate() changes.',
    ),
  contract: contractSchema.prefault({}),
  projection: projectionSchema
    .optional()
    .describe(
      "With reaction 'update': the value, name by name, as the row gives it; it must equal what the load returns.",
    ),
  maxKeysPerTransaction: z
    .int()
    .min(1)
    .default(10_000)
    .describe('A transaction that changes more keys than this becomes one floor: the whole keyspace is refilled.'),
})

const sourceSchema = z.strictObject({
  name: name(40).describe('Names the source; the defaults of slot, publication and topic are made from it.'),
  partitions: z.int().min(1).max(4096).default(16).describe('P: fixed for the life of the topic.'),
  topic: z
    .string()
    .max(249)
    .regex(/^[A-Za-z0-9._-]+$/)
    .optional(),
  publication: z.string().regex(POSTGRES_NAME).optional(),
  slot: z.string().regex(POSTGRES_NAME).optional(),
  keyPrefix: z
    .string()
    .regex(/^[A-Za-z0-9_.-]+$/, 'must hold only letters, digits, _ . and -')
    .default('tm')
    .describe('The prefix of every key in Redis.'),
  clockSkewMs: z.int().min(0).default(500).describe('How far two machines’ clocks may differ; added to every age.'),
  keyspaces: z.record(name(MAX_KEYSPACE_BYTES), keyspaceSchema),
})

/** What `tidemark.config.ts` gives to {@link defineSource}. */
export type SourceConfig = z.input<typeof sourceSchema>

/** A keyspace, validated, its template parsed. `key` keeps the template's literal type for inference. */
export interface Keyspace<Key extends string = string> {
  readonly name: string
  readonly key: Key
  readonly template: KeyTemplate
  /** schema.table → param → column. */
  readonly tables: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly contract: Contract
  /** With reaction `update` alone. */
  readonly projection?: Projection | undefined
  readonly maxKeysPerTransaction: number
}

/** A validated source: what publisher, workers and apps share. */
export interface Source<Keys extends Readonly<Record<string, string>> = Readonly<Record<string, string>>> {
  readonly name: string
  readonly partitions: number
  readonly topic: string
  readonly publication: string
  readonly slot: string
  readonly keyPrefix: string
  readonly clockSkewMs: number
  readonly keyspaces: { readonly [N in keyof Keys & string]: Keyspace<Keys[N]> }
}

/** The keyspace that every source has beside its own. A floor of it makes every tag stale. */
export const TAGS: Keyspace<typeof TAG_KEY> = {
  name: TAG_KEYSPACE,
  key: TAG_KEY,
  template: TAG_TEMPLATE,
  tables: {},
  contract: contractSchema.parse({}),
  maxKeysPerTransaction: keyspaceSchema.shape.maxKeysPerTransaction.parse(undefined),
}

type KeysOf<C extends SourceConfig> = { readonly [N in keyof C['keyspaces'] & string]: C['keyspaces'][N]['key'] }

type ParamNames<T extends string> = T extends `${string}{${infer P}}${infer Rest}` ? P | ParamNames<Rest> : never

/** The parameters of a key template: `ParamsOf<'product:{id}'>` is `{ readonly id: KeyValue }`. */
export type ParamsOf<Key extends string> = string extends Key
  ? Readonly<Record<string, KeyValue>>
  : { readonly [P in ParamNames<Key>]: KeyValue }

/**
 * Validates a source and fills in the defaults. Throws CONFIG_INVALID with *all* mistakes, one a line:
 * path, what is wrong, how to mend it.
 */
export function defineSource<const C extends SourceConfig>(config: C): Source<KeysOf<C>> {
  const parsed = sourceSchema.safeParse(config)
  const mistakes = parsed.success ? [] : parsed.error.issues.map(mistakeOf)
  mistakes.push(...templateMistakes((config as Partial<SourceConfig> | null | undefined)?.keyspaces))
  if (!parsed.success || mistakes.length > 0) {
    throw new TidemarkError(
      'CONFIG_INVALID',
      `${mistakes.length} mistake(s) in the source:\n  ${mistakes.join('\n  ')}`,
    )
  }
  const source = parsed.data
  const postgresName = `tidemark_${source.name.replaceAll('-', '_')}`
  return {
    ...source,
    topic: source.topic ?? `tidemark.${source.name}`,
    publication: source.publication ?? postgresName,
    slot: source.slot ?? postgresName,
    keyspaces: Object.fromEntries(
      Object.entries(source.keyspaces).map(([n, k]) => [n, { ...k, name: n, template: parseTemplate(k.key) }]),
    ),
  } as unknown as Source<KeysOf<C>>
}

function mistakeOf(issue: z.core.$ZodIssue): string {
  const message = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
  return `${issue.path.join('.') || '(top)'}: ${message}`
}

function templateMistakes(keyspaces: unknown): string[] {
  if (!isObject(keyspaces)) return []
  const mistakes: string[] = []
  const seen: { name: string; template: KeyTemplate }[] = [{ name: TAG_KEYSPACE, template: TAG_TEMPLATE }]
  for (const [name, keyspace] of Object.entries(keyspaces)) {
    if (name === TAG_KEYSPACE) mistakes.push(`keyspaces.${name}: the name is reserved for tags`)
    mistakes.push(...reactionMistakes(name, keyspace))
    const template = templateOf(name, keyspace, mistakes)
    if (!template) continue
    for (const other of seen) {
      if (!templatesOverlap(template, other.template)) continue
      mistakes.push(
        `keyspaces.${name}.key: a key of ${template.text} could also be one of ${other.template.text} (keyspace ` +
          `${other.name}); give them different literals`,
      )
    }
    seen.push({ name, template })
  }
  if (Object.keys(keyspaces).length === 0) mistakes.push('keyspaces: name at least one')
  return mistakes
}

function templateOf(name: string, keyspace: unknown, mistakes: string[]): KeyTemplate | undefined {
  const { key, tables } = isObject(keyspace) ? keyspace : {}
  if (typeof key !== 'string') return undefined
  let template: KeyTemplate
  try {
    template = parseTemplate(key)
  } catch (error) {
    mistakes.push(`keyspaces.${name}.key: ${(error as Error).message}`)
    return undefined
  }
  for (const [table, columns] of Object.entries(isObject(tables) ? tables : {})) {
    if (!isObject(columns)) continue
    const at = `keyspaces.${name}.tables.${table}`
    const given = Object.keys(columns)
    for (const p of template.params) if (!given.includes(p)) mistakes.push(`${at}: says no column for {${p}}`)
    for (const g of given) if (!template.params.includes(g)) mistakes.push(`${at}.${g}: the key has no {${g}}`)
  }
  return template
}

/** A reaction needs what it works with; and what it does not work with would be a promise that nobody keeps. */
function reactionMistakes(name: string, keyspace: unknown): string[] {
  const { contract, projection, tables } = isObject(keyspace) ? keyspace : {}
  const { reaction, retainStaleMs, whenUnprovable, softTtlMs, ttlMs } = isObject(contract) ? contract : {}
  const at = `keyspaces.${name}`
  const mistakes: string[] = []
  if (reaction === 'update') {
    if (!isObject(projection) || Object.keys(projection).length === 0) {
      mistakes.push(`${at}.projection: reaction 'update' needs one: name → { column, as }`)
    }
    if (!isObject(tables) || Object.keys(tables).length !== 1) {
      mistakes.push(`${at}.tables: reaction 'update' is for keys that come from one row: name one table`)
    }
  } else if (projection !== undefined) {
    mistakes.push(`${at}.projection: is for reaction 'update' alone`)
  }
  if (reaction === 'refresh' && (whenUnprovable !== 'serve-stale' || !(Number(retainStaleMs) > 0))) {
    mistakes.push(`${at}.contract: reaction 'refresh' needs whenUnprovable: 'serve-stale' and retainStaleMs`)
  }
  if (Number(softTtlMs ?? 0) >= Number(ttlMs ?? Number.POSITIVE_INFINITY)) {
    mistakes.push(`${at}.contract: softTtlMs must be less than ttlMs, or nothing is there to be served meanwhile`)
  }
  return mistakes
}

/** What zod refuses for its shape is not looked into any further. */
function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** The keyspace of that name; throws KEYSPACE_UNKNOWN, naming those that there are. */
export function keyspaceOf(source: Source, name: string): Keyspace {
  const keyspace = Object.hasOwn(source.keyspaces, name) ? source.keyspaces[name] : undefined
  if (keyspace) return keyspace
  throw new TidemarkError('KEYSPACE_UNKNOWN', `source ${source.name} has no keyspace ${JSON.stringify(name)}`, {
    mend: `It has ${Object.keys(source.keyspaces).join(', ')}`,
  })
}

/** Those of the source, and that of the tags. */
export function allKeyspaces(source: Source): Keyspace[] {
  return [...Object.values(source.keyspaces), TAGS]
}

/** The keyspace that a key is of; undefined when no template gives such a key. */
export function keyspaceOfKey(source: Source, key: string): Keyspace | undefined {
  return allKeyspaces(source).find(({ template }) => isKeyOf(template, key))
}
