import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'

const root = join(import.meta.dirname, '../..')
const text = (path: string) => readFile(join(root, path), 'utf8')
const COMPARED = ['bentocache', 'layered-loader', 'cacheable', '@epic-web/cachified']

test.each(['packages/refill/README.md', 'packages/refill/docs/benchmark.md'])(
  'what %s says of other libraries, it says of those versions that are measured',
  async (document) => {
    const { dependencies } = JSON.parse(await text('test/bench/package.json')) as {
      dependencies: Record<string, string>
    }
    const said = await text(document)
    for (const name of COMPARED) expect(said).toContain(`${name} ${dependencies[name]}`)
  },
)
