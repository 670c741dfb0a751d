import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from '@jest/globals'

const root = resolve(import.meta.dirname, '../..')
const CONFIG = { transform: {}, testEnvironment: join(import.meta.dirname, 'environment.js') }
const FAILS_TWICE = `
  test('a', () => {
    using _ = { [Symbol.dispose]() { throw new Error('the clean-up failed') } }
    throw new Error('the test failed')
  })`

test('a test that fails before its clean-up fails tells both', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-jest-'))
  try {
    writeFileSync(join(folder, 'jest.config.json'), JSON.stringify({ ...CONFIG, rootDir: folder }))
    writeFileSync(join(folder, 'a.test.js'), FAILS_TWICE)
    const jest = [join(root, 'node_modules/jest/bin/jest.js'), '--config', join(folder, 'jest.config.json')]
    const { stderr } = spawnSync(process.execPath, jest, { cwd: folder, encoding: 'utf8' })
    expect(stderr).toMatch(/contained in AggregateError:\s+the test failed.+the clean-up failed/s)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
