import { describe, expect, test } from '@jest/globals'
import { type JestReport, verdictOn } from './verdict.ts'

type Result = JestReport['testResults'][number]

const passed = { status: 'passed', fullName: 'it holds', failureMessages: [] }
const failedBy = (message: string) => ({ status: 'failed', fullName: 'it breaks', failureMessages: [message] })
const report = (...assertionResults: Result['assertionResults']): JestReport => ({
  testResults: [{ name: 'a.test.ts', message: '', assertionResults }],
})
const unrun: Result = { name: 'b.test.ts', message: ' SyntaxError: Unexpected token\n at b', assertionResults: [] }

describe('a mutant is seen', () => {
  test('by a test that fails by what it expects, whatever else fails', () => {
    const seen = { code: 'red', file: 'a.test.ts', test: 'it breaks' }
    expect(verdictOn(report(passed, failedBy('Error: expect(received).toBe(expected)')))).toEqual(seen)
    expect(verdictOn(report(failedBy('Error: Property failed after 7 tests')))).toEqual(seen)
    expect(verdictOn(report(failedBy('TypeError: x is null'), failedBy('Error: expect(…)')))).toEqual(seen)
  })
})

describe('a mutant is not seen', () => {
  test('where all tests pass', () => {
    expect(verdictOn(report(passed, { ...passed, status: 'pending' }))).toEqual({ code: 'survived' })
  })

  test.each([
    'ReferenceError: earlier is not defined',
    'TypeError: Cannot read properties of undefined',
    'Error: Property failed after 1 tests\n[cause]: TypeError: x is not a function',
    'thrown: "Exceeded timeout of 5000 ms for a test.',
  ])('where it does not hold together, or hangs: %s', (message) => {
    expect(verdictOn(report(passed, failedBy(message)))).toMatchObject({ code: 'void' })
  })

  test('where a file of tests could not be run, though another one failed', () => {
    const { testResults } = report(failedBy('Error: expect(…)'))
    const why = 'b.test.ts could not be run: SyntaxError: Unexpected token'
    expect(verdictOn({ testResults: [...testResults, unrun] })).toEqual({ code: 'void', why })
  })

  test('where no test was run', () => {
    expect(verdictOn(report({ ...passed, status: 'pending' }))).toMatchObject({ code: 'void' })
    expect(verdictOn({ testResults: [] })).toMatchObject({ code: 'void' })
  })
})
