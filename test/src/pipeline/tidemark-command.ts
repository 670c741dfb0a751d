import { execFile } from 'node:child_process'
import { join } from 'node:path'
import type { PipelineContext } from './pipeline-context.ts'

const MAIN = join(import.meta.dirname, '../../../services/cli/src/main.ts')
const CONFIG = join(import.meta.dirname, 'hot.config.ts')

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the `tidemark` command as a process, on the servers of a context. */
export function tidemark(
  { name, servers }: PipelineContext,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const env = {
    ...{ PATH: process.env.PATH, TIDEMARK_TEST_NAME: name, TIDEMARK_CONFIG: CONFIG },
    TIDEMARK_PRIMARY_URL: servers.primaryUrl,
    TIDEMARK_KAFKA_BROKERS: servers.brokers.join(','),
    TIDEMARK_REDIS_EU_WEST_URL: servers.redisUrl,
    TIDEMARK_REPLICA_EU_WEST_URL: servers.replicaUrl,
    ...more,
  }
  const quiet = ['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning']
  const { promise, resolve } = Promise.withResolvers<Ended>()
  execFile(process.execPath, [...quiet, MAIN, ...args], { env, timeout: 60_000 }, (error, stdout, stderr) =>
    resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
  )
  return promise
}
