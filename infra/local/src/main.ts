import { LocalServerError } from './errors.ts'
import { givenServers } from './given-servers.ts'
import { startServers } from './servers.ts'

/** `pnpm servers`: starts the servers, prints the environment that names them, and stays until it is told to end. */
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort(signal))

const say = (message: string) => process.stderr.write(`${message}\n`)

try {
  const options = { given: givenServers(process.env), onProgress: say, signal: stop.signal }
  await using servers = await startServers(options)
  for (const [name, value] of Object.entries(servers.environment)) process.stdout.write(`export ${name}='${value}'\n`)
  say('servers: ready; Ctrl-C stops them and removes their data')
  await aborted(stop.signal)
  say('servers: stopping')
} catch (error) {
  if (!stop.signal.aborted) fail(error)
}

/** What a person can act on is one sentence; only what they can't comes with a stack. */
function fail(error: unknown): void {
  if (!(error instanceof LocalServerError)) throw error
  say(error.message)
  process.exitCode = 1
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal.aborted) resolve()
  else signal.addEventListener('abort', () => resolve(), { once: true })
  // A pending promise alone does not keep a process alive.
  const alive = setInterval(() => undefined, 60_000)
  await promise
  clearInterval(alive)
}
