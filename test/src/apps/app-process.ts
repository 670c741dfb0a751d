import { renameSync, writeFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { randomOf } from '../seeded-random.ts'
import { type AppSetup, openApp } from './app.ts'
import { AppHistory } from './app-history.ts'
import { AppPaths } from './app-paths.ts'
import { AppUsers } from './app-users.ts'
import { Visits } from './app-visits.ts'

// An app process: its users act until SIGTERM, and what they did is in its history then.

const TELL_MS = 500

const setup = JSON.parse(process.env.TIDEMARK_TEST_APP ?? '') as AppSetup
const ending = new AbortController()
process.once('SIGTERM', () => ending.abort())

const app = await openApp(setup)
const history = new AppHistory(setup.historyFile)
const paths = new AppPaths()
// Nothing of the product: the tests' own way from process to process waits for as long as a busy machine takes.
const visits = new Visits(new Redis(setup.visitsUrl), setup.source)
const random = randomOf(setup.seed)

// Whole or not at all, for it is read meanwhile.
const tellPaths = () => {
  writeFileSync(`${setup.pathsFile}.new`, JSON.stringify(paths.counts))
  renameSync(`${setup.pathsFile}.new`, setup.pathsFile)
}
tellPaths()
const telling = setInterval(tellPaths, TELL_MS)
await new AppUsers({ setup, app, history, paths, visits, random }).act(ending.signal)
clearInterval(telling)
tellPaths()
await history[Symbol.asyncDispose]()
process.exit(0)
