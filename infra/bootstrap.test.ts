import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

const LOCKFILE = 'lockfileVersion: 9'
/** Stands for the demo: says what it was given, and how it was told to end. */
const DEMO = `
  let signals = 0
  process.on('SIGINT', () => console.log('SIGINT', ++signals)).on('SIGTERM', () => process.exit(8))
  console.log('args', process.argv.slice(2).join(' '), process.env.npm_config_cache)
  if (process.argv.includes('--exit')) process.exit(7)
  setInterval(() => {}, 1000)
`

let project: string

beforeEach(async () => {
  project = await mkdtemp(join(tmpdir(), 'tidemark-bootstrap-'))
  await mkdir(join(project, 'infra/demo/src'), { recursive: true })
  await mkdir(join(project, 'bin'))
  await copyFile(join(import.meta.dirname, 'bootstrap.mjs'), join(project, 'infra/bootstrap.mjs'))
  await writeFile(join(project, 'infra/demo/src/main.ts'), DEMO)
  await writeFile(join(project, 'pnpm-lock.yaml'), LOCKFILE)
})

afterEach(async () => {
  await rm(project, { recursive: true })
})

async function installed(): Promise<void> {
  await mkdir(join(project, 'node_modules/.bin'), { recursive: true })
  await symlink(process.execPath, join(project, 'node_modules/.bin/node'))
}

async function stamped(): Promise<void> {
  await installed()
  const stamp = createHash('sha256').update(LOCKFILE).digest('hex')
  await writeFile(join(project, 'node_modules/.tidemark-installed'), stamp)
}

/** Stands for npx: notes how it was called, and then does what the test wants. */
async function npx(script: string): Promise<void> {
  await writeFile(join(project, 'bin/npx'), `#!/bin/sh\necho "$@" >> '${project}/calls'\n${script}\n`)
  await chmod(join(project, 'bin/npx'), 0o755)
}

function bootstrap(...args: string[]) {
  const env = { PATH: `${join(project, 'bin')}:${process.env.PATH}`, CI: 'true', npm_config_cache: '/given/cache' }
  const child = spawn(process.execPath, [join(project, 'infra/bootstrap.mjs'), ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return { child, stdout: text(child.stdout), stderr: text(child.stderr), ended: once(child, 'exit') }
}

async function calls(): Promise<string[]> {
  const called = await readFile(join(project, 'calls'), 'utf8').catch(() => '')
  return called.split('\n').filter(Boolean)
}

async function speaks(child: ChildProcess): Promise<void> {
  await once(child.stdout as NodeJS.ReadableStream, 'data')
}

test('arguments and environment are passed on, and the exit code comes back', async () => {
  await stamped()
  await npx('exit 1')
  const { stdout, ended } = bootstrap('demo', '--once', '--exit')
  expect(await ended).toEqual([7, null])
  expect(await stdout).toBe('args --once --exit /given/cache\n')
  expect(await calls()).toEqual([])
})

test('dependencies are installed once, as the lockfile says, with one line about it', async () => {
  await installed()
  await npx('exit 0')
  const first = bootstrap('demo', '--exit')
  expect(await first.ended).toEqual([7, null])
  expect(await first.stderr).toMatch(/^installing dependencies with pnpm@[^\n]+\n$/)
  await bootstrap('demo', '--exit').ended
  expect(await calls()).toEqual([expect.stringMatching(/^--yes pnpm@\d+\.\d+\.\d+ install --frozen-lockfile/)])
})

test('a lockfile that has changed is installed anew', async () => {
  await stamped()
  await npx('exit 0')
  await writeFile(join(project, 'pnpm-lock.yaml'), `${LOCKFILE}.1`)
  await bootstrap('demo', '--exit').ended
  expect(await calls()).toHaveLength(1)
})

test('an installation that fails shows what was said, and is tried again the next time', async () => {
  await installed()
  await npx('echo no such version; exit 1')
  const { stderr, ended } = bootstrap('demo', '--exit')
  expect(await ended).toEqual([1, null])
  expect(await stderr).toContain('no such version\ndependencies were not installed\n')
  await bootstrap('demo', '--exit').ended
  expect(await calls()).toHaveLength(2)
})

test('SIGTERM and, without a terminal, SIGINT are passed on, once each', async () => {
  await stamped()
  const { child, stdout, ended } = bootstrap('demo')
  await speaks(child)
  child.kill('SIGINT')
  await speaks(child)
  child.kill('SIGTERM')
  expect(await ended).toEqual([8, null])
  expect(await stdout).toContain('SIGINT 1\n')
  expect(await stdout).not.toContain('SIGINT 2\n')
})

test('an unknown command is answered with those there are', async () => {
  const { stderr, ended } = bootstrap('deploy')
  expect(await ended).toEqual([1, null])
  expect(await stderr).toContain('demo|test|bench|model|mutants|servers|tidemark')
})
