/** What is read of the JSON that jest writes. */
export interface JestReport {
  readonly testResults: readonly {
    readonly name: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly status: string
      readonly fullName: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

export type Verdict =
  | { readonly code: 'red'; readonly file: string; readonly test: string }
  | { readonly code: 'survived' }
  /** The run shows nothing of the rule. */
  | { readonly code: 'void'; readonly why: string }

/** A mutant that does not hold together, or hangs, says nothing: any change may do that. */
const IS_NO_ASSERTION = /\b(?:ReferenceError|SyntaxError|TypeError)\b|Exceeded timeout of/

/** Whether a test saw the rule broken: one of them failed by what it expects, and every file could be run. */
export function verdictOn({ testResults }: JestReport): Verdict {
  const unrun = testResults.find(({ assertionResults }) => assertionResults.length === 0)
  if (unrun) return { code: 'void', why: `${unrun.name} could not be run: ${firstLine(unrun.message)}` }
  const tests = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map((test) => ({ ...test, file: name })),
  )
  const failed = tests.filter(({ status }) => status === 'failed')
  const seen = failed.find(({ failureMessages }) => !failureMessages.some((message) => IS_NO_ASSERTION.test(message)))
  if (seen) return { code: 'red', file: seen.file, test: seen.fullName }
  if (failed[0])
    return { code: 'void', why: `${failed[0].fullName}: ${firstLine(failed[0].failureMessages.join(' '))}` }
  if (tests.some(({ status }) => status === 'passed')) return { code: 'survived' }
  return { code: 'void', why: 'no test was run' }
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0]!
}
