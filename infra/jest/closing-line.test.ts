import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from '@jest/globals'

const root = resolve(import.meta.dirname, '../..')
const CONFIG = { reporters: ['default', join(import.meta.dirname, 'closing-line.js')], testEnvironment: 'node' }

/** The outcome of a jest run of its own over the given files. */
function runJest(files: Record<string, string>): { status: number | null; lastLine: string | undefined } {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-jest-'))
  try {
    writeFileSync(join(folder, 'jest.config.json'), JSON.stringify({ ...CONFIG, rootDir: folder }))
    for (const [name, script] of Object.entries(files)) writeFileSync(join(folder, name), script)
    const jest = [join(root, 'node_modules/jest/bin/jest.js'), '--config', join(folder, 'jest.config.json')]
    const { status, stdout } = spawnSync(process.execPath, jest, { cwd: folder, encoding: 'utf8' })
    return { status, lastLine: stdout.trimEnd().split('\n').at(-1) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('a test that passes is counted as one', () => {
  const files = { 'a.test.js': `test('a', () => {})` }
  expect(runJest(files)).toEqual({ status: 0, lastLine: 'Tests: 1 passed, 0 failed' })
})

test('a failed test, a skipped one, a planned one and a file that can not be run are all counted as failed', () => {
  const files = {
    'a.test.js': `test('a', () => {}); test('b', () => { throw new Error('no') }); test.skip('c', () => {}); test.todo('d')`,
    'b.test.js': `require('./not-there.js')`,
  }
  expect(runJest(files)).toEqual({ status: 1, lastLine: 'Tests: 1 passed, 4 failed' })
})
