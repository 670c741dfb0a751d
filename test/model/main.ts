import { type Explored, explore } from './exploration.ts'
import { MUTANTS, type MutantName } from './mutants.ts'
import type { Scope } from './rules.ts'
import { BRIEF, LONG } from './scopes.ts'

// `npm run model`: the small worlds and all mutants. `-- long`: the large worlds. `-- "<mutant>"`: how it goes wrong.

const [what] = process.argv.slice(2)
const tell = (line: string) => process.stdout.write(`${line}\n`)

const numbered = (lines: readonly string[]) => lines.map((line, i) => `  ${i + 1}. ${line}`).join('\n')

function explored(name: string, scope: Scope, broken: MutantName | null = null): Explored {
  const began = performance.now()
  const found = explore(scope, broken)
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  const { states, deepest, breach } = found
  tell(
    `${name.padEnd(50)} ${String(states).padStart(10)} states ${String(deepest).padStart(3)} deep ${seconds.padStart(7)} s  ${breach ? breach.invariant : 'holds'}`,
  )
  return found
}

function worlds(scopes: Record<string, Scope>): void {
  for (const [name, scope] of Object.entries(scopes)) {
    const { breach, trace } = explored(name, scope)
    if (!breach) continue
    process.exitCode = 1
    tell(numbered([...trace, breach.how]))
  }
}

function mutants(names: readonly MutantName[]): void {
  for (const name of names) {
    const { section, scope, breaks } = MUTANTS[name]
    const { breach, trace } = explored(`${section.padEnd(7)} ${name}`, BRIEF[scope], name)
    if (breach?.invariant !== breaks) process.exitCode = 1
    if (names.length === 1) tell(numbered([...trace, breach?.how ?? 'nothing goes wrong']))
  }
}

if (what === 'long') worlds(LONG)
else if (what && Object.hasOwn(MUTANTS, what)) mutants([what as MutantName])
else if (what) {
  tell(`there is no mutant "${what}"; there are:\n${Object.keys(MUTANTS).join('\n')}`)
  process.exitCode = 2
} else {
  worlds(BRIEF)
  mutants(Object.keys(MUTANTS) as MutantName[])
}
