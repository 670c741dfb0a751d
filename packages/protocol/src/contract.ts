import { z } from 'zod'

/** What a keyspace promises its readers. Durations are milliseconds. Time bounds ages; it never orders anything. */
export const contractSchema = z.strictObject({
  maxStalenessMs: z
    .int()
    .min(1)
    .default(10_000)
    .describe('A value is fresh only if it is known to have been current at most this long ago.'),
  ttlMs: z.int().min(1).default(3_600_000).describe('How long a value may stay in Redis, in milliseconds.'),
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
  whenUnprovable: z
    .enum(['serve-stale', 'fail'])
    .default('fail')
    .describe('What a read does when no value can be shown to be fresh: serve one and say so, or fail.'),
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

/** Times maxStalenessMs: before a reader notices, as the first one does, or long after. */
const ALARM_FACTOR: Readonly<Record<Contract['criticality'], number>> = { high: 0.5, normal: 1, low: 10 }

/** From which age of a view, in ms, a region's cut-off is an alarm for the keyspace. */
export function alarmAfterMs({ criticality, maxStalenessMs }: Contract): number {
  return maxStalenessMs * ALARM_FACTOR[criticality]
}
