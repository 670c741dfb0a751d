import { join } from 'node:path'
import { type EndedProcess, runToEnd } from './ended-process.ts'
import type { PipelineContext } from './pipeline-context.ts'

const CONFIG = join(import.meta.dirname, 'hot.config.ts')

/** Runs the `tidemark` command as a process, on the servers of a context. */
export function tidemark(
  { name, servers }: PipelineContext,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<EndedProcess> {
  return runToEnd('cli', args, {
    TIDEMARK_TEST_NAME: name,
    TIDEMARK_CONFIG: CONFIG,
    TIDEMARK_PRIMARY_URL: servers.primaryUrl,
    TIDEMARK_KAFKA_BROKERS: servers.brokers.join(','),
    TIDEMARK_REDIS_EU_WEST_URL: servers.redisUrl,
    TIDEMARK_REPLICA_EU_WEST_URL: servers.replicaUrl,
    ...more,
  })
}
