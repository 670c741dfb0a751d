import { z } from 'zod'

/** What a keyspace promises its readers. Durations are milliseconds. Time bounds ages; it never orders anything. */
export const contractSchema = z.strictObject({
  maxStalenessMs: z
    .int()
    .min(1)
    .default(10_000)
    .describe('A value is fresh only if it is known to have been current at most this long ago.'),
  ttlMs: z.int().min(1).default(3_600_000).describe('How long a value may stay in Redis, in milliseconds.'),
  softTtlMs: z
    .int()
    .min(0)
    .default(0)
    .describe('From this age on a value is loaded anew behind its reader, who is served it all the same; 0: never.'),
  earlyRefresh: z
    .number()
    .min(0)
    .max(10)
    .default(1)
    .describe(
      'How eagerly one of many readers loads a value anew before its time is over, so that they do not all miss at ' +
        'once: the beta of XFetch (Vattani and others, VLDB 2015); 0: never.',
    ),
  negativeTtlMs: z
    .int()
    .min(0)
    .default(60_000)
    .describe('How long "there is no such row" may stay in Redis; 0 does not cache it.'),
  retainStaleMs: z
    .int()
    .min(0)
    .default(0)
    .describe('How long an invalidated value is retained, to be served as stale; 0 removes it at once.'),
  staleIfErrorMs: z
    .int()
    .min(0)
    .default(0)
    .describe(
      'How long a value that was invalidated, or whose time is over, is kept to be served as stale when its load fails, ' +
        'whatever whenUnprovable says.',
    ),
  whenUnprovable: z
    .enum(['serve-stale', 'fail', 'route'])
    .default('fail')
    .describe(
      'What a read does when no value can be shown to be fresh: serve one and say so, fail, or ask another region.',
    ),
  session: z
    .strictObject({
      readYourWrites: z.boolean().default(true).describe('No read in a session is older than what it wrote.'),
      monotonicReads: z
        .boolean()
        .default(true)
        .describe('No read in a session is older than what it was handed before.'),
    })
    .prefault({})
    .describe('What a read in a session is promised. Without a session it changes nothing.'),
  memory: z
    .boolean()
    .default(true)
    .describe('Whether a process that keeps values in its own memory keeps those of this keyspace.'),
  reaction: z
    .enum(['invalidate', 'update', 'refresh', 'bypass'])
    .default('invalidate')
    .describe(
      'What a change does to a cached value: invalidate it; update it in place with the projection of the row; mark it ' +
        'stale, to be served as such while a reader refreshes it; or nothing is cached, and each read goes to the primary.',
    ),
  criticality: z
    .enum(['low', 'normal', 'high'])
    .default('normal')
    .describe('How soon a region that is cut off is an alarm for this keyspace; see alarmAfterMs.'),
})

export type Contract = z.output<typeof contractSchema>

/** How long a value that was invalidated stays in Redis, in ms, for whoever may be served it as stale; 0 removes it. */
export function retentionMs({ retainStaleMs, staleIfErrorMs }: Contract): number {
  return Math.max(retainStaleMs, staleIfErrorMs)
}

/** Times maxStalenessMs: before a reader notices, as the first one does, or long after. */
const ALARM_FACTOR: Readonly<Record<Contract['criticality'], number>> = { high: 0.5, normal: 1, low: 10 }

/** From which age of a view, in ms, a region's cut-off is an alarm for the keyspace. */
export function alarmAfterMs({ criticality, maxStalenessMs }: Contract): number {
  return maxStalenessMs * ALARM_FACTOR[criticality]
}
