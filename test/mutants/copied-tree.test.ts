import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { CopiedTree } from './copied-tree.ts'
import type { Mutant } from './rule.ts'

const RULE = 'refill:a.ts'
const MUTANT: Mutant = { name: 'any', file: RULE, find: 'a <= b', replace: 'a < b', tests: ['refill:a.test.ts'] }
/** Stands for a run of jest: reports a test that wants the rule whole, and ends as jest does; or ends without a report. */
const JEST = `
  import { readFileSync, writeFileSync } from 'node:fs'
  const output = process.argv.find((one) => one.startsWith('--outputFile=')).slice('--outputFile='.length)
  if (process.env.NO_REPORT) process.exit(1)
  const holds = readFileSync('packages/refill/src/a.ts', 'utf8').includes('a <= b')
  const test = { status: holds ? 'passed' : 'failed', fullName: process.argv.at(-1), failureMessages: ['Error: expect(…)'] }
  const file = process.cwd() + '/packages/refill/src/a.test.ts'
  writeFileSync(output, JSON.stringify({ testResults: [{ name: file, message: '', assertionResults: [test] }] }))
  process.exit(holds ? 0 : 1)
`

let project: string

async function written(file: string, text: string): Promise<void> {
  await mkdir(dirname(join(project, file)), { recursive: true })
  await writeFile(join(project, file), text)
}

beforeEach(async () => {
  project = await mkdtemp(join(tmpdir(), 'tidemark-project-'))
  await written('infra/bootstrap.mjs', JEST)
  await written('packages/refill/src/a.ts', 'if (a <= b) return')
  await written('packages/refill/src/deleted.ts', '')
  await written('ignored/a.ts', '')
  await written('.gitignore', 'ignored/')
  execFileSync('git', ['init', '--quiet'], { cwd: project })
  execFileSync('git', ['add', '.'], { cwd: project })
  await rm(join(project, 'packages/refill/src/deleted.ts'))
})

afterEach(async () => {
  await rm(project, { recursive: true })
})

test('a mutant is tried in the copy alone, and the copy is whole again after it', async () => {
  await using tree = await CopiedTree.of(project, process.env)
  const seen = { code: 'red', file: 'packages/refill/src/a.test.ts', test: 'packages/refill/src/a.test.ts' }
  expect(await tree.try(MUTANT)).toEqual(seen)
  expect(await readFile(join(project, 'packages/refill/src/a.ts'), 'utf8')).toBe('if (a <= b) return')
  expect(await tree.test(MUTANT.tests)).toEqual({ code: 'survived' })
  expect(await tree.try({ ...MUTANT, replace: 'a <= b ' })).toEqual({ code: 'survived' })
})

test('a mutant of what does not stand there is an error of its own', async () => {
  await using tree = await CopiedTree.of(project, process.env)
  await expect(tree.try({ ...MUTANT, find: 'b <= a' })).rejects.toThrow('any: what is to be replaced stands 0 times')
})

test('a run that leaves no report shows nothing, be there one of an earlier run', async () => {
  const environment = { ...process.env }
  await using tree = await CopiedTree.of(project, environment)
  await tree.test(MUTANT.tests)
  environment.NO_REPORT = 'true'
  expect(await tree.try(MUTANT)).toMatchObject({ code: 'void' })
})
