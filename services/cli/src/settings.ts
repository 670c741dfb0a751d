import { DEFAULT_TOMBSTONE_BOUNDS, type TombstoneBounds } from '@tidemark/guard'
import { type KafkaConnection, kafkaConnection, kafkaSettings } from '@tidemark/kafka'
import { postgresUrl, primarySettings, primaryUrl } from '@tidemark/postgres'
import { type RedisConnection, redisAccessSettings, redisConnections, redisUrl } from '@tidemark/redis'
import { type Environment, misspeltSettings, readSettings } from '@tidemark/service'
import { z } from 'zod'

const CONFIG = {
  TIDEMARK_CONFIG: z
    .string()
    .default('tidemark.config.ts')
    .describe('The file that exports the source, relative to the working directory.'),
}

/** Enough for what needs no server. */
export const configSettings = z.object(CONFIG)

/** The variables of publisher, workers and apps, so that the command runs where they do. */
export const cliSettings = z.object({
  ...CONFIG,
  ...primarySettings,
  TIDEMARK_PRIMARY_URL: primarySettings.TIDEMARK_PRIMARY_URL.describe(
    'The primary, with the publisher’s role: doctor checks what that role may do.',
  ),
  ...kafkaSettings,
  TIDEMARK_KAFKA_REPLICATION_FACTOR: z.coerce
    .number()
    .int()
    .min(1)
    .max(32)
    .default(1)
    .describe('Copies of each partition, when init makes the topic; 3 where there are so many brokers.'),
  TIDEMARK_REGION: z.string().default('this region').describe('Names the region of `TIDEMARK_REDIS_URL`.'),
  TIDEMARK_REDIS_URL: redisUrl().optional().describe('The Redis of one region.'),
  TIDEMARK_REDIS_REGION_URL: redisUrl()
    .optional()
    .describe('The Redis of a region, as many as there are: `TIDEMARK_REDIS_EU_WEST_URL`.'),
  ...redisAccessSettings,
  TIDEMARK_MAX_TOMBSTONES: z.coerce
    .number()
    .int()
    .min(1_000)
    .default(DEFAULT_TOMBSTONE_BOUNDS.maxTombstones)
    .describe('As the workers have it: what a replay writes is bounded as what they write.'),
  TIDEMARK_TOMBSTONE_MS: z.coerce
    .number()
    .int()
    .min(3_000)
    .default(DEFAULT_TOMBSTONE_BOUNDS.tombstoneMs)
    .describe('As the workers have it.'),
  TIDEMARK_REPLICA_URLS: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(postgresUrl()))
    .optional()
    .meta({ secret: true })
    .describe('Replicas that apps refill from; several with commas.'),
  TIDEMARK_REPLICA_REGION_URL: replicaUrl().describe(
    'The replica of a region, as many as there are: `TIDEMARK_REPLICA_EU_WEST_URL`.',
  ),
})

function replicaUrl() {
  return postgresUrl().optional().meta({ secret: true })
}

export interface NamedUrl {
  readonly name: string
  readonly url: string
}

export interface NamedRedis {
  readonly name: string
  readonly redis: RedisConnection
}

/** Where everything is that a source stands on. */
export interface Servers {
  readonly primaryUrl: string
  readonly kafka: KafkaConnection
  readonly replicationFactor: number
  readonly regions: readonly NamedRedis[]
  readonly replicas: readonly NamedUrl[]
}

/** What the environment says. */
export interface Given extends Servers {
  readonly config: string
  readonly tombstones: TombstoneBounds
}

const REDIS_OF_REGION = /^TIDEMARK_REDIS_(.+)_URL$/
const REPLICA_OF_REGION = /^TIDEMARK_REPLICA_(.+)_URL$/

/** Throws SETTINGS_INVALID with all mistakes. */
export function readServers(env: Environment): Given {
  const regions = variablesLike(REDIS_OF_REGION, env)
  const replicas = variablesLike(REPLICA_OF_REGION, env)
  const ofRegions = {
    ...Object.fromEntries(regions.map(({ variable }) => [variable, redisUrl().optional()])),
    ...Object.fromEntries(replicas.map(({ variable }) => [variable, replicaUrl()])),
  }
  // The type knows the variables of no region: they are read by the names that the environment gave them.
  const given = readSettings(cliSettings.extend(ofRegions) as unknown as typeof cliSettings, env)
  const urlsOf = (named: readonly Variable[]) => named.map(({ name, variable }) => ({ name, url: env[variable]! }))
  return {
    config: given.TIDEMARK_CONFIG,
    primaryUrl: primaryUrl(given),
    kafka: kafkaConnection(given),
    replicationFactor: given.TIDEMARK_KAFKA_REPLICATION_FACTOR,
    regions: redisesOf(given, urlsOf(regions)),
    replicas: [
      ...(given.TIDEMARK_REPLICA_URLS ?? []).map((url, at) => ({ name: String(at + 1), url })),
      ...urlsOf(replicas),
    ],
    tombstones: { maxTombstones: given.TIDEMARK_MAX_TOMBSTONES, tombstoneMs: given.TIDEMARK_TOMBSTONE_MS },
  }
}

function redisesOf(given: z.output<typeof cliSettings>, others: readonly NamedUrl[]): NamedRedis[] {
  const own = given.TIDEMARK_REDIS_URL ? [{ name: given.TIDEMARK_REGION, url: given.TIDEMARK_REDIS_URL }] : []
  const named = [...own, ...others]
  const connections = redisConnections(
    named.map(({ url }) => url),
    given,
  )
  return named.map(({ name }, at) => ({ name, redis: connections[at]! }))
}

/** Variables that look like a slip: unset in effect, and nobody else would say so. */
export function settingsSlips(env: Environment): string[] {
  const isOfRegion = (name: string) => REDIS_OF_REGION.test(name) || REPLICA_OF_REGION.test(name)
  return misspeltSettings(cliSettings, env)
    .filter(({ given }) => !isOfRegion(given))
    .map(({ given, meant }) => `${given} is set and not known: was ${meant} meant?`)
}

interface Variable {
  readonly name: string
  readonly variable: string
}

function variablesLike(pattern: RegExp, env: Environment): Variable[] {
  return Object.keys(env).flatMap((variable) => {
    const region = env[variable] ? pattern.exec(variable)?.[1] : undefined
    return region === undefined ? [] : [{ variable, name: region.toLowerCase().replaceAll('_', '-') }]
  })
}
