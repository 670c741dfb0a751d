import type { Loss } from '@tidemark/guard'
import type { RefillOutcome } from '../events.ts'
import type { TokenFlaw } from '../session/token.ts'

/** A label: the values it may have where they are a closed set, else who gives them. No key is one. */
type Label = readonly string[] | 'region' | 'keyspace' | 'replica' | 'source'

export interface RefillMetric {
  readonly type: 'counter'
  /** UCUM, as OpenTelemetry wants it. */
  readonly unit: string
  readonly meaning: string
  readonly labels: Readonly<Record<string, Label>>
}

const REGION = { region: 'region' } as const
const REGION_KEYSPACE = { region: 'region', keyspace: 'keyspace' } as const

const OUTCOMES = [
  'stored',
  'stale',
  'older',
  'lease-lost',
  'view-missing',
  'gap',
  'unlabelled',
  'too-large',
  'not-wanted',
  'misfit',
  'redis-away',
] as const satisfies readonly RefillOutcome[]

const LOSSES = [
  'first',
  'hole',
  'again',
  'gap',
  'epoch',
  'many',
  'malformed',
  'disconnected',
  'silent',
  'closed',
] as const satisfies readonly Loss[]

const FLAWS = ['malformed', 'foreign', 'forged', 'old'] as const satisfies readonly TokenFlaw[]

/** What the refill package counts, named exactly as it is exposed: the one place of these names. */
export const REFILL_METRICS = {
  cache_version_regression_total: {
    type: 'counter',
    unit: '{regression}',
    meaning: 'Times that a watermark, label or floor was seen to go back while its Redis did not. Must stay zero.',
    labels: REGION,
  },
  cache_reads_total: {
    type: 'counter',
    unit: '{read}',
    meaning:
      'Reads by outcome: fresh from the cache, miss (loaded), stale (served and said so), unprovable (refused, by contract), failed.',
    labels: { ...REGION_KEYSPACE, outcome: ['fresh', 'miss', 'stale', 'unprovable', 'failed'] },
  },
  cache_refill_total: {
    type: 'counter',
    unit: '{refill}',
    meaning: 'Values loaded on a miss, by the server that gave them: primary, or the name of the replica.',
    labels: { ...REGION_KEYSPACE, source: 'source' },
  },
  cache_refill_outcome_total: {
    type: 'counter',
    unit: '{refill}',
    meaning: 'Values loaded on a miss, by what became of them in Redis: stored, or why they were not.',
    labels: { ...REGION_KEYSPACE, outcome: OUTCOMES },
  },
  cache_stale_refill_total: {
    type: 'counter',
    unit: '{refill}',
    meaning: 'Refills refused because they would have put a stale value back, by the replica that was behind.',
    labels: { region: 'region', cache_layer: ['redis'], keyspace: 'keyspace', source_replica: 'source' },
  },
  cache_replica_awaited_total: {
    type: 'counter',
    unit: '{wait}',
    meaning: 'Waits for a replica that was behind: it arrived in time, or the next source was asked.',
    labels: { ...REGION_KEYSPACE, replica: 'replica', outcome: ['arrived', 'given-up'] },
  },
  cache_replica_circuit_total: {
    type: 'counter',
    unit: '{change}',
    meaning: 'Times that a replica was passed by from then on because it failed (open), and that it was asked again.',
    labels: { ...REGION, replica: 'replica', state: ['open', 'closed'] },
  },
  cache_primary_limited_total: {
    type: 'counter',
    unit: '{load}',
    meaning: 'Loads that were not sent to the primary because its limit was reached.',
    labels: REGION_KEYSPACE,
  },
  cache_source_failed_total: {
    type: 'counter',
    unit: '{failure}',
    meaning: 'Loads that a server could not answer: it is away, not a streaming replica just now, or refused the load.',
    labels: { ...REGION_KEYSPACE, source: 'source' },
  },
  cache_redis_failed_total: {
    type: 'counter',
    unit: '{failure}',
    meaning: 'Commands that the Redis of the region did not answer, or not in time; the read went on without it.',
    labels: REGION_KEYSPACE,
  },
  cache_redis_circuit_total: {
    type: 'counter',
    unit: '{change}',
    meaning:
      'Times that the Redis of the region was passed by from then on because it failed (open), and was asked again.',
    labels: { ...REGION, state: ['open', 'closed'] },
  },
  cache_lease_wait_total: {
    type: 'counter',
    unit: '{wait}',
    meaning: 'Reads that waited for a refill, by another, of the same key.',
    labels: REGION_KEYSPACE,
  },
  cache_refresh_unfinished_total: {
    type: 'counter',
    unit: '{refresh}',
    meaning:
      'Loads behind readers who were served what was there that failed, or were put off because as many as may be were going on.',
    labels: { ...REGION_KEYSPACE, why: ['failed', 'put-off'] },
  },
  cache_misfit_total: {
    type: 'counter',
    unit: '{cache}',
    meaning:
      'Caches whose load returns another shape than the projection of their keyspace; each is told of once, and nothing that does not fit is cached.',
    labels: REGION_KEYSPACE,
  },
  cache_memory_dropped_total: {
    type: 'counter',
    unit: '{value}',
    meaning: 'Values that went from the memory of the process because news of their partition may have been missed.',
    labels: { ...REGION, cause: LOSSES },
  },
  cache_memory_evicted_total: {
    type: 'counter',
    unit: '{value}',
    meaning: 'Values that went from the memory of the process because there were too many.',
    labels: REGION,
  },
  cache_memory_failed_total: {
    type: 'counter',
    unit: '{failure}',
    meaning: 'Subscriptions to the news of the region that failed; nothing is held in memory until one succeeds.',
    labels: REGION,
  },
  cache_token_refused_total: {
    type: 'counter',
    unit: '{token}',
    meaning: 'Session tokens that were not believed, by what was wrong with them.',
    labels: { ...REGION, flaw: FLAWS },
  },
  cache_session_uncarried_total: {
    type: 'counter',
    unit: '{session}',
    meaning: 'Sessions that wrote or saw something after their token had gone out: no later read knows of it.',
    labels: REGION,
  },
} as const satisfies Readonly<Record<string, RefillMetric>>

type Table = typeof REFILL_METRICS
export type RefillMetricName = keyof Table
/** The labels of one measurement of that metric. */
export type RefillLabelsOf<N extends RefillMetricName> = {
  readonly [L in keyof Table[N]['labels']]: Table[N]['labels'][L] extends readonly (infer V)[] ? V : string
}
