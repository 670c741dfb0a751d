import type { RedisClient } from '@tidemark/guard'
import { type Source, TidemarkError } from '@tidemark/protocol'
import { z } from 'zod'
import { having, whole } from './bounds.ts'
import { type MemoryOptions, memorySchema } from './memory/memory.ts'
import type { Route } from './read/route.ts'
import { type TokenKey, tokenKeySchema } from './session/token.ts'
import type { ConnectionPool } from './sources/database.ts'
import { type PrimaryLimitOptions, primaryLimitSchema } from './sources/primary-limit.ts'
import type { Replica } from './sources/watched-replica.ts'
import { type Timings, timingClashes, timingsSchema } from './timings.ts'
import { type Compression, compressionSchema } from './value/compression.ts'
import { type Serializer, serializerSchema } from './value/serializer.ts'

export interface TidemarkOptions<Keys extends Readonly<Record<string, string>>> {
  readonly source: Source<Keys>
  /** The region's Redis: an ioredis `Redis` or `Cluster`. Turn its offline queue off, or it hides an outage. */
  readonly redis: RedisClient
  readonly primary: ConnectionPool
  /** Asked before the primary, by position and latency. A bare pool is named `replica-1`, `replica-2`, … in events. */
  readonly replicas?: readonly (ConnectionPool | Replica)[]
  /** How many loads this process may send to the primary. */
  readonly primaryLimit?: Partial<PrimaryLimitOptions>
  /** Names the region in events. */
  readonly region?: string
  /** Sign session tokens; the first signs, all verify. Without them sessions live in this process only. */
  readonly tokenKeys?: readonly TokenKey[]
  /** Longest age of a token, in ms. */
  readonly tokenMaxAgeMs?: number
  /** In place of JSON, which gives bigint, Date, Buffer, Map and Set back, too, and refuses what it cannot. */
  readonly serializer?: Serializer
  /** Whether values are compressed. What is compressed is read all the same without it. */
  readonly compression?: Compression
  /** A value that is larger before it is compressed is handed to the caller and not cached. */
  readonly maxValueBytes?: number
  /** How many values may be loaded behind readers at a time, each on a connection of its own; see reaction `refresh`. */
  readonly maxRefreshes?: number
  /** The way to another region, for keyspaces whose contract says `whenUnprovable: 'route'`. */
  readonly route?: Route
  /** Holds values in this process, too, in front of Redis. {@link Tidemark} is to be closed then. */
  readonly memory?: MemoryOptions
  readonly timings?: Partial<Timings>
}

const MOST_VALUE_BYTES = 536_870_912 // of one string in Redis
const POOL = 'a pool: an object whose connect() gives query and release'
/** Where a value came from says a reading by the replica's name: these are taken. */
const TAKEN_NAME = /^(?:primary|redis|memory|route:.*|)$/

const poolSchema = having<ConnectionPool>(POOL, 'connect')
const isReplica = (value: unknown) => isObject(value) && poolSchema.safeParse(value.pool ?? value).success

const optionsSchema = z.strictObject({
  source: z.custom<Source>((value) => isObject(value) && isObject(value.keyspaces) && 'keyPrefix' in value, {
    error: 'must be what defineSource() gave',
  }),
  redis: having<RedisClient>('a client of ioredis, or one with its methods', 'evalsha', 'eval', 'mgetBuffer'),
  primary: poolSchema,
  replicas: z.array(z.custom<ConnectionPool | Replica>(isReplica, `must be ${POOL}; or a name and a pool`)).default([]),
  primaryLimit: primaryLimitSchema.prefault({}),
  region: z.string('must be a name').min(1, 'must be a name').default('local'),
  tokenKeys: z.array(tokenKeySchema).default([]),
  tokenMaxAgeMs: whole(1).default(86_400_000),
  serializer: serializerSchema.optional(),
  compression: compressionSchema.optional(),
  maxValueBytes: whole(1, MOST_VALUE_BYTES).default(1_048_576),
  // Fewer than the ten connections that a pool of `pg` has by default: readers who wait come first.
  maxRefreshes: whole(1).default(4),
  route: having<Route>('a name and ask()', 'ask').optional(),
  memory: memorySchema.optional(),
  timings: timingsSchema.prefault({}),
})

export type CheckedOptions = z.output<typeof optionsSchema>

/**
 * The options with their defaults. Throws CONFIG_INVALID with *all* mistakes, one a line: where it is, what is wrong, how to
 * mend it. A name that is not known is one: misspelt, an option would be its default without a word.
 */
export function checkedOptions(options: unknown): CheckedOptions {
  const parsed = optionsSchema.safeParse(options)
  const mistakes = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap(mistakesOf)),
    ...(isObject(options) ? clashesOf(options) : []),
  ]
  if (parsed.success && mistakes.length === 0) return parsed.data
  const what = `${mistakes.length} mistake(s) in the options of openTidemark`
  throw new TidemarkError('CONFIG_INVALID', `${what}:\n  ${mistakes.join('\n  ')}`)
}

function mistakesOf(issue: z.core.$ZodIssue): string[] {
  const at = issue.path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`)).join('')
  const where = at.slice(1)
  if (issue.code !== 'unrecognized_keys') return [`${where || '(top)'}: ${issue.message}`]
  return issue.keys.map((key) => `${where && `${where}.`}${key}: there is no such option`)
}

/** What is in order each for itself, and makes no sense together. Whatever else is amiss, so that all is told at once. */
function clashesOf({ redis, primary, memory, route, timings, ...options }: Record<string, unknown>): string[] {
  const given = objectsIn(options.replicas)
  const keyIds = objectsIn(options.tokenKeys).map((key) => key.id)
  const names = given.map((one, i) => ('pool' in one ? one.name : `replica-${i + 1}`))
  return [
    ...names.flatMap((name, i) => {
      const isName = typeof name === 'string' && !TAKEN_NAME.test(name) && names.indexOf(name) === i
      return isName ? [] : [`replicas[${i}].name: must be a name of its own, and not that of another source`]
    }),
    ...given.flatMap((one, i) =>
      (one.pool ?? one) === primary ? [`replicas[${i}]: is the pool of the primary; give the replica's own`] : [],
    ),
    ...keyIds.flatMap((id, i) => (keyIds.indexOf(id) === i ? [] : [`tokenKeys[${i}].id: is given twice: ${id}`])),
    ...(isObject(memory) && isObject(redis) && memory.subscriber === redis
      ? ['memory.subscriber: must be a client of its own, for it takes no other command: redis.duplicate()']
      : []),
    ...(timings === undefined || isObject(timings)
      ? timingClashes(timings ?? {}, { route: route !== undefined, replicas: given.length > 0 })
      : []),
  ]
}

function objectsIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
