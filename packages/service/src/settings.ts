import { TidemarkError } from '@tidemark/protocol'
import { z } from 'zod'
import { closestName } from './edit-distance.ts'
import { mayHoldCredentials } from './redaction.ts'
import { fieldsOf } from './settings-field.ts'

/** What every service can be told about its process. */
const processShape = {
  TIDEMARK_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error'])
    .default('info')
    .describe('The least level that is logged.'),
  TIDEMARK_DRAIN_TIMEOUT_MS: z.coerce
    .number()
    .int()
    .min(0)
    .max(600_000)
    .default(20_000)
    .describe('How long the service may take to end in good order after the first SIGTERM or SIGINT.'),
}

/** One service's settings: field names are the names of the environment variables. */
export type SettingsSchema = z.ZodObject<typeof processShape>

/**
 * The schema of a service: its own fields and those of every process. Each field has a type, a description, its unit
 * in its name, and a default unless it must be given; `.meta({ secret: true })` marks what may never be printed.
 *
 * A switch is `z.stringbool()`: `z.coerce.boolean()` takes the text "false" for true.
 */
export function serviceSettings<const S extends z.ZodRawShape>(shape: S) {
  return z.object({ ...shape, ...processShape })
}

/**
 * The URL of a server, of one of these schemes. The scheme is checked because `user:password@host`, which lacks one,
 * is a URL too, of the scheme `user`.
 */
export function serverUrl(...schemes: readonly string[]) {
  return z.url({
    protocol: new RegExp(`^(?:${schemes.join('|')})$`),
    error: `must be a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
  })
}

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads a service's settings; an empty variable counts as unset. Throws SETTINGS_INVALID with *all* mistakes, one a
 * line. A value that may hold credentials is not printed.
 */
export function readSettings<S extends z.ZodObject>(schema: S, env: Environment): z.output<S> {
  const given = Object.fromEntries(
    Object.keys(schema.shape).flatMap((name) => (env[name] ? [[name, env[name]] as const] : [])),
  )
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  const slips = misspeltSettings(schema, env)
  const mistakes = parsed.error.issues.map((issue) => mistakeOf(schema, issue, given, slips))
  throw new TidemarkError(
    'SETTINGS_INVALID',
    `${mistakes.length} mistake(s) in the environment:\n  ${mistakes.join('\n  ')}`,
  )
}

/** A variable that is set and that the service does not know, but that looks like one it does. */
export interface Slip {
  readonly given: string
  readonly meant: string
}

/**
 * Unknown TIDEMARK_ variables that look like known ones. Only a warning: services share an environment, and what one
 * does not know may well be another's.
 */
export function misspeltSettings(schema: z.ZodObject, env: Environment): Slip[] {
  const known = Object.keys(schema.shape)
  return Object.keys(env).flatMap((given) => {
    if (!given.startsWith('TIDEMARK_') || known.includes(given)) return []
    const meant = closestName(given, known)
    return meant !== undefined && !env[meant] ? [{ given, meant }] : []
  })
}

function mistakeOf(
  schema: z.ZodObject,
  issue: z.core.$ZodIssue,
  given: Readonly<Record<string, string>>,
  slips: readonly Slip[],
): string {
  const name = String(issue.path[0] ?? '(all)')
  const value = given[name]
  if (value === undefined) {
    const slip = slips.find((s) => s.meant === name)
    return `${name} is missing${slip ? `; ${slip.given} is set, was that meant?` : ''}`
  }
  const secret = fieldsOf(schema).find((field) => field.name === name)?.secret
  const shown = secret || mayHoldCredentials(value) ? '(not shown)' : JSON.stringify(value)
  return `${name}=${shown}: ${issue.message}`
}
