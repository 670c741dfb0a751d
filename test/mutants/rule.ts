/** One way to break a rule: in `file`, what stands exactly once is replaced, and one of `tests` must then fail. */
export interface Mutant {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
  /** Files of tests. The quickest that hold the rule: a property or a script of the servers' answers before real servers. */
  readonly tests: readonly string[]
  /** Of these files only the tests whose names match this. */
  readonly named?: string
}

/** A rule of the protocol, and the ways in which it is broken here. */
export interface Rule {
  /** Of `protocol.md`. */
  readonly section: string
  readonly rule: string
  readonly mutants: readonly Mutant[]
}

/** Files that hold and test the rules, by what stands in for their folders in the tables. */
const FOLDERS: readonly (readonly [string, string])[] = [
  ['guard:', 'packages/guard/src/'],
  ['protocol:', 'packages/protocol/src/'],
  ['refill:', 'packages/refill/src/'],
]

/** The path of a file that a table names, from the project's root. */
export function pathOf(file: string): string {
  const folder = FOLDERS.find(([short]) => file.startsWith(short))
  return folder ? folder[1] + file.slice(folder[0].length) : file
}

/** The text with the rule broken. Throws where what is to be replaced does not stand there exactly once. */
export function broken(text: string, { name, file, find, replace }: Mutant): string {
  const parts = text.split(find)
  if (parts.length !== 2) throw new Error(`${name}: what is to be replaced stands ${parts.length - 1} times in ${file}`)
  return parts.join(replace)
}
