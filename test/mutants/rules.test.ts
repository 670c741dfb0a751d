import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from '@jest/globals'
import { broken, pathOf } from './rule.ts'
import { RULES } from './rules.ts'
import { END, rulesDocument, START } from './rules-document.ts'

const root = dirname(dirname(import.meta.dirname))
const textOf = (file: string) => readFileSync(join(root, pathOf(file)), 'utf8')
const mutants = RULES.flatMap((rule) => rule.mutants)

test('what a mutant replaces stands exactly once in its file, and is replaced by something else', () => {
  for (const mutant of mutants)
    expect([mutant.name, broken(textOf(mutant.file), mutant)]).not.toContain(textOf(mutant.file))
})

test('each rule is broken in a way of its own, and the tests that are to see it are there', () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length)
  expect(RULES.filter(({ mutants: ways }) => ways.length === 0)).toEqual([])
  for (const { name, tests, named = '' } of mutants) {
    expect([name, tests.some((file) => new RegExp(named).test(textOf(file)))]).toEqual([name, true])
  }
})

test('the document of the rules names the same ones', () => {
  const document = textOf('packages/refill/docs/rules.md')
  const table = document.slice(document.indexOf(START), document.indexOf(END) + END.length)
  expect(table).toBe(rulesDocument(RULES))
})
