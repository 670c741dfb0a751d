import type { Mutant, Rule } from './rule.ts'

/** Where the generated part of `packages/refill/docs/rules.md` begins and ends. */
export const START = '<!-- rules: generated from test/mutants, held equal by a test -->'
export const END = '<!-- end of the rules -->'

const HEAD = ['rule', 'mutant', 'code', 'tests']

/** The rules as a table a section: how each is broken, in which file, and the tests that see it. */
export function rulesDocument(rules: readonly Rule[]): string {
  const bySection = Map.groupBy(
    rules.toSorted((a, b) => (a.section < b.section ? -1 : a.section > b.section ? 1 : 0)),
    ({ section }) => section,
  )
  const tables = [...bySection].map(([section, ofOne]) => `### ${section}\n\n${tableOf(ofOne.flatMap(rowsOf))}`)
  return [START, ...tables, END].join('\n\n')
}

function rowsOf({ rule, mutants }: Rule): string[][] {
  return mutants.map((mutant, i) => [i === 0 ? rule : '', mutant.name, code(mutant.file), testsOf(mutant)])
}

function testsOf({ tests }: Mutant): string {
  return tests.map((file) => code(file.replace(/\.test\.ts$/, ''))).join(', ')
}

function code(text: string): string {
  return `\`${text}\``
}

function tableOf(rows: readonly string[][]): string {
  const widths = HEAD.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]!.length)))
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  return [line(HEAD), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n')
}
