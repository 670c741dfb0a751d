import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import { loadSource } from './source-file.ts'

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}.config.ts`, import.meta.url))

test('the default export is the source', async () => {
  const source = await loadSource(fixture('whole'))
  expect(source).toMatchObject({ name: 'shop', topic: 'tidemark.shop', slot: 'tidemark_shop' })
  expect(Object.keys(source.keyspaces)).toEqual(['product'])
})

test.each([
  ['missing', /^CONFIG_INVALID: there is no file .*missing\.config\.ts\. TIDEMARK_CONFIG names it/],
  ['no-default', /^CONFIG_INVALID: .* has no default export\. Write: export default defineSource/],
  ['plain', /^CONFIG_INVALID: .* was not made by defineSource\. Write: export default defineSource/],
  ['throwing', /^CONFIG_INVALID: .*throwing\.config\.ts cannot be loaded: the shop is shut$/],
  ['mistaken', /^CONFIG_INVALID: 2 mistake\(s\) in the source:/],
])('a file that is %s is refused', async (name, message) => {
  await expect(loadSource(fixture(name))).rejects.toThrow(message)
})
