// Plain JavaScript without dependencies: it runs on the Node that the user has (20 or later), before anything is
// installed. `npm start` and `npm test` come here; it installs what is missing, then hands over to the project's own Node.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const pnpm = 'pnpm@12.21.0'
const stampFile = join(root, 'node_modules/.tidemark-installed')

// kafkajs sets a negative timer once per client, which Node 24 warns of; VM modules are what jest loads ES modules with.
const quiet = ['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning']

const commands = {
  demo: [...quiet, join(root, 'infra/demo/src/main.ts')],
  test: [...quiet, '--experimental-vm-modules', join(root, 'node_modules/jest/bin/jest.js')],
  bench: [...quiet, join(root, 'test/bench/main.ts')],
  model: [...quiet, '--max-old-space-size=12288', join(root, 'test/model/main.ts')],
  mutants: [...quiet, join(root, 'test/mutants/main.ts')],
  servers: [...quiet, join(root, 'infra/local/src/main.ts')],
  tidemark: [...quiet, join(root, 'services/cli/src/main.ts')],
}

const [name = '', ...args] = process.argv.slice(2)
const command = commands[name]
if (!command) fail(`usage: node infra/bootstrap.mjs ${Object.keys(commands).join('|')} [arguments]`)
installIfNeeded()
run(projectNode(), [...command, ...args])

/** The lockfile's content, not its time: a checkout changes the time of files that it leaves as they were. */
function installIfNeeded() {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'pnpm-lock.yaml')))
    .digest('hex')
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return
  process.stderr.write(`installing dependencies with ${pnpm} (first time, or they changed)\n`)
  // Without a terminal pnpm could not ask whether it may replace a node_modules that another version laid out.
  const pnpmArgs = ['install', '--frozen-lockfile', '--config.confirm-modules-purge=false']
  const { status, error, stdout, stderr } = spawnSync('npx', ['--yes', pnpm, ...pnpmArgs], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status !== 0)
    fail(`${stdout ?? ''}${stderr ?? ''}${error ? `${error.message}\n` : ''}dependencies were not installed`)
  writeFileSync(stampFile, wanted)
}

/** The npm package `node` brings Node 24; what runs from here on does not depend on the user's version. */
function projectNode() {
  const link = join(root, 'node_modules/.bin/node')
  if (!existsSync(link)) fail('the Node of this project is not installed: remove node_modules and try again')
  return realpathSync(link)
}

function run(node, nodeArgs) {
  const child = spawn(node, nodeArgs, { cwd: root, stdio: 'inherit' })
  child.once('error', (error) => fail(`can't start ${node}: ${error.message}`))
  child.once('exit', (code, signal) => {
    if (signal) process.removeAllListeners(signal)
    if (signal) process.kill(process.pid, signal)
    else process.exit(code ?? 1)
  })
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  // Ctrl-C reaches every process of the terminal's group: sent on, the child would take it for the second one, which forces.
  process.on('SIGINT', () => {
    if (![process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY)) child.kill('SIGINT')
  })
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
