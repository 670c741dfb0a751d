import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'

const root = join(import.meta.dirname, '../../..')
const docs = join(import.meta.dirname, '../docs')
const pages = await readdir(join(docs, 'guarantees'))
const rules = await readFile(join(docs, 'rules.md'), 'utf8')
const SOURCES = { guard: 'packages/guard/src', publisher: 'services/publisher/src', '@tidemark/test': 'test/src' }

/** A test is a file, or a folder of them. */
function isThere(name: string): boolean {
  const [, place = null, file] = /^(?:(guard|publisher|@tidemark\/test): )?(.+)$/.exec(name)!
  const at = join(root, place === null ? 'packages/refill/src' : SOURCES[place as keyof typeof SOURCES], file!)
  return existsSync(`${at}.test.ts`) || existsSync(at)
}

test.each(pages)('what is promised, why it holds, what it rests on and which tests hold it: %s', async (page) => {
  const text = await readFile(join(docs, 'guarantees', page), 'utf8')
  for (const part of ['**Promised.**', '## Rules', '## Why it holds', 'It rests on ']) expect(text).toContain(part)
  const tests = [...text.slice(text.indexOf('## Tests')).matchAll(/^\| (`.+?`) +\|/gm)]
  const names = tests.flatMap(([, cell]) => cell!.split(', ').map((name) => name.replaceAll('`', '')))
  expect(names.length).toBeGreaterThan(2)
  expect(names.filter((name) => !isThere(name))).toEqual([])
})

const TRIED = /^Broken on purpose, and seen red: \[rules\]\(\.\.\/rules\.md\) (.+)\.$/m

test.each(pages)('the rules that are broken on purpose for it are there: %s', async (page) => {
  const text = await readFile(join(docs, 'guarantees', page), 'utf8')
  const sections = TRIED.exec(text)?.[1]?.split(/, | and /)
  if (!sections) expect(text).toContain('(../rules.md#further-rules)')
  for (const section of sections ?? ['Further rules']) expect(rules).toMatch(new RegExp(`\n##+ ${section}\n`))
})
