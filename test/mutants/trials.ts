import { type Mutant, pathOf, type Rule } from './rule.ts'
import type { Verdict } from './verdict.ts'

/** Where mutants are tried: a copy of the project. */
export interface Ground {
  try(mutant: Mutant): Promise<Verdict>
  /** The tests of files as they are. */
  test(files: readonly string[], named?: string): Promise<Verdict>
}

/** Those whose section, rule or name holds the text, or all. */
export function chosenOf(rules: readonly Rule[], text = ''): { rule: Rule; mutant: Mutant }[] {
  const all = rules.flatMap((rule) => rule.mutants.map((mutant) => ({ rule, mutant })))
  return all.filter(({ rule, mutant }) => [`${rule.section} ${rule.rule}`, mutant.name].some((at) => at.includes(text)))
}

/**
 * Breaks each rule in turn, and tells which test saw it. First the tests must pass with no rule broken: one that fails in
 * any case sees nothing.
 *
 * @returns whether every mutant was seen by an assertion of a test
 */
export async function allAreSeen(
  chosen: ReturnType<typeof chosenOf>,
  ground: Ground,
  tell: (line: string) => void,
): Promise<boolean> {
  for (const [files, named] of testsOf(chosen)) {
    const whole = await ground.test(files, named)
    if (whole.code === 'survived') continue
    tell(`with no rule broken ${whole.code === 'red' ? `fails: ${whole.test}` : whole.why}`)
    return false
  }
  let seen = 0
  for (const { rule, mutant } of chosen) {
    const verdict = await ground.try(mutant)
    if (verdict.code === 'red') seen++
    tell(`| ${rule.section} ${rule.rule} | ${mutant.name} | ${said(verdict)} |`)
  }
  tell(`${seen} of ${chosen.length} mutants were seen`)
  return chosen.length > 0 && seen === chosen.length
}

function said(verdict: Verdict): string {
  switch (verdict.code) {
    case 'red':
      return `${verdict.file}: ${verdict.test}`
    case 'survived':
      return 'SURVIVED'
    case 'void':
      return `VOID: ${verdict.why}`
  }
}

/** The tests of all: whole files in one run, and those that are named in another. */
function testsOf(chosen: ReturnType<typeof chosenOf>): [files: string[], named?: string][] {
  const filesOf = (mutants: readonly Mutant[]) => [...new Set(mutants.flatMap(({ tests }) => tests))].sort()
  const mutants = chosen.map(({ mutant }) => mutant)
  const [whole, parts] = [mutants.filter(({ named }) => !named), mutants.filter(({ named }) => named)]
  const runs: [string[], string?][] = [
    [filesOf(whole)],
    [filesOf(parts), [...new Set(parts.map(({ named }) => named))].join('|')],
  ]
  return runs.filter(([files]) => files.length > 0)
}

/** Whether any of them runs on real servers. */
export function needServers(chosen: ReturnType<typeof chosenOf>): boolean {
  const files = chosen.flatMap(({ mutant }) => mutant.tests).map(pathOf)
  return files.some((file) => file.endsWith('.server.test.ts') || file.startsWith('test/'))
}
