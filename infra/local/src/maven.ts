import { execFile } from 'node:child_process'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import { LocalServerError } from './errors.ts'
import { interrupted } from './wait.ts'

const FETCH_TIMEOUT_MS = 600_000

export interface FetchOptions {
  readonly onProgress?: (message: string) => void
  readonly signal?: AbortSignal | undefined
}

export interface Fetch {
  /** For whom, in errors. */
  readonly what: string
  /** What the user may do instead of installing Maven. */
  readonly instead: string
  readonly pom: string
  /** A goal of the dependency plugin, and its options. */
  readonly goal: readonly string[]
  /** Where Maven works and puts what it fetched. */
  readonly folder: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Has Maven fetch what a pom names. The user's own settings, mirrors, proxies and local repository hold: nothing of that
 * is said here.
 */
export async function fetchWithMaven(fetch: Fetch, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const { pom, goal, folder, signal } = fetch
  // Maven leaves marker files beside the pom, so it works on a copy.
  await copyFile(pom, join(folder, 'pom.xml'))
  const args = ['-q', '-B', ...goal, `-DoutputDirectory=${folder}`]
  const options = { cwd: folder, env, signal, timeout: FETCH_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 }
  try {
    await promisify(execFile)('mvn', args, options)
  } catch (cause) {
    if (signal?.aborted) throw interrupted(`fetching ${fetch.what}`, signal)
    throw failure(fetch, cause as ProcessFailure)
  }
}

type ProcessFailure = NodeJS.ErrnoException & { readonly stdout?: string; readonly stderr?: string }

function failure({ what, instead }: Fetch, cause: ProcessFailure): LocalServerError {
  if (cause.code !== 'ENOENT') {
    const output = stripVTControlCharacters(`${cause.stdout ?? ''}${cause.stderr ?? ''}`).trim()
    return new LocalServerError('MAVEN_FAILED', `${what} can't be fetched with Maven\n${output}`, { cause })
  }
  const advice = `install it (on Debian: apt-get install maven), or ${instead}`
  return new LocalServerError('MAVEN_MISSING', `${what} is fetched with Maven, and there is no mvn: ${advice}`, {
    cause,
  })
}
