import { execFile } from 'node:child_process'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { LocalServerError } from './errors.ts'

const FETCH_TIMEOUT_MS = 600_000

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
}

/**
 * Has Maven fetch what a pom names. The user's own settings, mirrors, proxies and local repository hold: nothing of that
 * is said here.
 */
export async function fetchWithMaven({ what, instead, pom, goal, folder }: Fetch, env = process.env): Promise<void> {
  // Maven leaves marker files beside the pom, so it works on a copy.
  await copyFile(pom, join(folder, 'pom.xml'))
  const args = ['-q', '-B', ...goal, `-DoutputDirectory=${folder}`]
  try {
    await promisify(execFile)('mvn', args, { cwd: folder, env, timeout: FETCH_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 })
  } catch (cause) {
    const { code, stdout = '', stderr = '' } = cause as NodeJS.ErrnoException & { stdout?: string; stderr?: string }
    if (code === 'ENOENT') {
      const advice = `install it (on Debian: apt-get install maven), or ${instead}`
      throw new LocalServerError('MAVEN_MISSING', `${what} is fetched with Maven, and there is no mvn: ${advice}`, {
        cause,
      })
    }
    throw new LocalServerError('MAVEN_FAILED', `${what} can't be fetched with Maven\n${stdout}${stderr}`, { cause })
  }
}
