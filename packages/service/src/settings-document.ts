import type { z } from 'zod'
import { fieldsOf, type SettingsField } from './settings-field.ts'

/** The markdown table of a service's settings: what `--help` prints and what its README holds. */
export function settingsTable(schema: z.ZodObject): string {
  const rows = fieldsOf(schema).map((field) => [`\`${field.name}\``, field.type, defaultOf(field), meaningOf(field)])
  return alignedTable([['variable', 'type', 'default', 'meaning'], ...rows])
}

/** Columns of one width, as the formatter leaves them: else a README could not satisfy both it and its test. */
function alignedTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)))
  const [head, ...body] = rows.map((row) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`)
  return [head, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body].join('\n')
}

/** A sample environment file: what must be given stands empty, what has a default is commented out. */
export function sampleEnvironment(schema: z.ZodObject): string {
  const entries = fieldsOf(schema).map((field) => {
    const line = `${field.name}=${field.defaultText ?? ''}`
    return `# ${meaningOf(field)} (${field.type})\n${field.required ? line : `# ${line}`}`
  })
  return `${entries.join('\n\n')}\n`
}

const START = '<!-- settings: generated from the schema, held equal by a test -->'
const END = '<!-- /settings -->'

/**
 * `readme` with the table between its markers replaced by the schema's: equal to `readme` when they are in sync, so
 * that a test can compare the two, and its failure shows what to write.
 */
export function withSettingsTable(readme: string, schema: z.ZodObject): string {
  const start = readme.indexOf(START)
  const end = readme.indexOf(END)
  if (start < 0 || end < start) throw new RangeError(`the text needs the lines ${START} and ${END}, in that order`)
  return `${readme.slice(0, start)}${START}\n\n${settingsTable(schema)}\n\n${readme.slice(end)}`
}

function defaultOf(field: SettingsField): string {
  if (field.defaultText !== undefined) return `\`${field.defaultText}\``
  return field.required ? 'must be given' : 'none'
}

function meaningOf(field: SettingsField): string {
  return field.secret ? `${field.description} Secret: never printed.`.trim() : field.description
}
