import { dirname } from 'node:path'
import { givenServers, startServers } from '@tidemark/local'
import { CopiedTree } from './copied-tree.ts'
import { RULES } from './rules.ts'
import { allAreSeen, chosenOf, needServers } from './trials.ts'

const root = dirname(dirname(import.meta.dirname))
const chosen = chosenOf(RULES, process.argv[2])
await using resources = new AsyncDisposableStack()
const servers = needServers(chosen)
  ? resources.use(await startServers({ given: givenServers(process.env), durable: false }))
  : null
const tree = resources.use(await CopiedTree.of(root, { ...process.env, ...servers?.environment }))
const tell = (line: string) => process.stdout.write(`${line}\n`)
if (!(await allAreSeen(chosen, tree, tell))) process.exitCode = 1
