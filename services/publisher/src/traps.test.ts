import { globSync, readFileSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { expect, test } from '@jest/globals'

const root = resolve(import.meta.dirname, '../../..')
const readme = readFileSync(resolve(import.meta.dirname, '../README.md'), 'utf8')

const files = new Map(
  globSync('{packages,services,test}/**/src/**/*.test.ts', { cwd: root, exclude: ['**/node_modules/**'] }).map(
    (path) => [basename(path), readFileSync(resolve(root, path), 'utf8')] as const,
  ),
)

const traps = readme.slice(readme.indexOf('## Traps'))

/** The tests that are named: a file, and words of the test's name. */
const named = [...traps.matchAll(/`([\w.-]+\.test\.ts)`: ((?:“[^”]+”(?:, )?)+)/g)].flatMap(([, file, names]) =>
  [...names!.matchAll(/“([^”]+)”/g)].map(([, name]) => [file!, name!] as const),
)

test('the README names a test for each of its traps', () => {
  const rows = traps.match(/^\| (?!trap|-)[^|]+\|[^|]+\|$/gm) ?? []
  expect(rows.length).toBeGreaterThan(60)
  expect(rows.filter((row) => !/“[^”]+”/.test(row))).toEqual([])
})

test.each(named)('%s has the test “%s”', (file, name) => {
  // Names of tests stand in quotes, be it on a line of their own.
  const quoted = files.get(file)?.match(/(['"`])(?:(?!\1).)*\1/g) ?? []
  expect(quoted.some((text) => text.includes(name))).toBe(true)
})
