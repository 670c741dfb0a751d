import { z } from 'zod'
import { LONGEST_TIMER_MS, whole } from './bounds.ts'

/** Bounds on waiting, all in milliseconds. */
export interface Timings {
  /** How long one call may take, whatever it waits for. */
  readonly readMs: number
  /** How long one load may take. One that hangs has failed then. */
  readonly loadMs: number
  /** How long a lease lasts. Its holder prolongs it while it loads; a dead one's ends so soon. */
  readonly leaseMs: number
  /** How long a read waits for another's load before it loads for itself, without caching. */
  readonly leaseWaitMs: number
  /** How long a session that is ahead of a watermark waits for it. */
  readonly watermarkWaitMs: number
  /** How long one load waits for replicas that lag, all together, before the next source is asked. */
  readonly replicaWaitMs: number
  /** How long a replica may take to hand out a connection and say where it stands. */
  readonly replicaAnswerMs: number
  /** How long another region may take to answer, within `readMs`; see contract `route`. */
  readonly routeMs: number
  /** How long Redis may take to answer; then the read goes on without it. */
  readonly redisTimeoutMs: number
  /** How long Redis is passed by after some failures in a row, until one command probes it. */
  readonly redisPauseMs: number
  /** Between two looks while waiting. */
  readonly pollMs: number
}

/** What must take some time to be a bound at all, and what may be 0: not to wait. */
const boundMs = (defaultMs: number) => whole(1, LONGEST_TIMER_MS).default(defaultMs)
const waitMs = (defaultMs: number) => whole(0, LONGEST_TIMER_MS).default(defaultMs)
const MOST_POLL_MS = 1_000

export const timingsSchema = z.strictObject({
  readMs: boundMs(10_000),
  loadMs: boundMs(5_000),
  leaseMs: boundMs(1_000),
  leaseWaitMs: waitMs(5_000),
  watermarkWaitMs: waitMs(500),
  replicaWaitMs: waitMs(20),
  replicaAnswerMs: boundMs(1_000),
  routeMs: boundMs(2_000),
  redisTimeoutMs: boundMs(250),
  redisPauseMs: boundMs(1_000),
  pollMs: whole(1, MOST_POLL_MS).default(5),
}) satisfies z.ZodType<Timings>

export const DEFAULT_TIMINGS: Timings = timingsSchema.parse({})

/** What a bound is to be less than, or there is nothing left of the other; and where that matters. */
const WITHIN: readonly (readonly [keyof Timings, keyof Timings, string, ('route' | 'replicas')?])[] = [
  ['redisTimeoutMs', 'readMs', 'a Redis that is silent would take the whole call'],
  ['redisTimeoutMs', 'leaseMs', 'a lease could be over before its holder has heard of it'],
  ['pollMs', 'readMs', 'a call that waits would never look again'],
  ['routeMs', 'readMs', 'another region is asked within the call, and nothing would be left for this one', 'route'],
  ['replicaAnswerMs', 'loadMs', 'a replica that is silent would take the whole load', 'replicas'],
  ['replicaWaitMs', 'loadMs', 'a replica that lags would take the whole load', 'replicas'],
]

/** Timings that are each in order and make no sense together. */
export function timingClashes(timings: Partial<Timings>, has: { readonly route: boolean; readonly replicas: boolean }) {
  const all = { ...DEFAULT_TIMINGS, ...timings }
  return WITHIN.flatMap(([less, more, why, where]) => {
    if ((where && !has[where]) || !(all[less] >= all[more])) return []
    return [`timings.${less}: ${all[less]} must be less than ${more}, which is ${all[more]}: ${why}`]
  })
}
