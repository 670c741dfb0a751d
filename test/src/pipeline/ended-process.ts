import { execFile } from 'node:child_process'
import { join } from 'node:path'

const SERVICES = join(import.meta.dirname, '../../../services')
const QUIET = ['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning']
const TIMEOUT_MS = 60_000
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024

/** A process that has ended, and what it printed; the code is -1 where it ended otherwise than by itself. */
export interface EndedProcess {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a service's main to its end, in an environment that has nothing else but the way to programs. */
export function runToEnd(service: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<EndedProcess> {
  const options = { env: { PATH: process.env.PATH, ...env }, timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES }
  const main = join(SERVICES, service, 'src/main.ts')
  const { promise, resolve } = Promise.withResolvers<EndedProcess>()
  execFile(process.execPath, [...QUIET, main, ...args], options, (error, stdout, stderr) => {
    const { code } = error ?? { code: 0 }
    resolve({ code: typeof code === 'number' ? code : -1, stdout, stderr })
  })
  return promise
}
