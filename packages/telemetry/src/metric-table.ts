import type { ErrorCode } from '@tidemark/protocol'
import { REFILL_METRICS } from '@tidemark/refill/otel'

/**
 * A label: the values it may have where they are a closed set, else who gives them. Nothing that grows with the data
 * is a label, a key least of all.
 */
export type Label = readonly string[] | 'region' | 'keyspace' | 'topic' | 'replica' | 'source' | 'code'

export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** UCUM, as OpenTelemetry wants it: `s`, `By`, `1`, or a {thing} counted. */
  readonly unit: string
  readonly meaning: string
  readonly labels: Readonly<Record<string, Label>>
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[]
}

const REGION = { region: 'region' } as const
const REGION_KEYSPACE = { region: 'region', keyspace: 'keyspace' } as const

/** From a millisecond, which the pipeline reaches, to five minutes, after which a region is as good as cut off. */
const LAG_BUCKETS_S = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
] as const

/**
 * Every metric there is, named exactly as it is exposed. Counters are zero from the first scrape wherever their
 * labels are known; a gauge whose value is unknown is absent, for a zero would be a lie.
 */
export const METRICS = {
  // ── publisher ─────────────────────────────────────────────────────────────────────────────────────────────
  tidemark_publisher_events_total: {
    type: 'counter',
    unit: '{event}',
    meaning: 'Invalidations that Kafka has acknowledged.',
    labels: { keyspace: 'keyspace' },
  },
  tidemark_publisher_projections_total: {
    type: 'counter',
    unit: '{event}',
    meaning:
      'Those of the events that carry the projection of their row, so that the value is updated in place; the others of a keyspace with a projection invalidate.',
    labels: { keyspace: 'keyspace' },
  },
  tidemark_publisher_transactions_total: {
    type: 'counter',
    unit: '{transaction}',
    meaning: 'Transactions whose events Kafka has acknowledged; those that touched no key count too.',
    labels: {},
  },
  tidemark_publisher_floors_total: {
    type: 'counter',
    unit: '{floor}',
    meaning:
      'Floors published: a whole keyspace made stale at once, because of a TRUNCATE, a bulk change, a new shape of a table, a TOASTed value that no image holds, a message or an epoch.',
    labels: { keyspace: 'keyspace', cause: ['truncate', 'bulk', 'shape', 'unreadable', 'message', 'epoch'] },
  },
  tidemark_publisher_epochs_total: {
    type: 'counter',
    unit: '{epoch}',
    meaning:
      'Epochs opened, by why the stream could not be shown to continue: each makes every cached value be refilled once.',
    labels: {
      cause: [
        'first',
        'opening-cut-off',
        'slot-missing',
        'slot-lost',
        'slot-undecodable',
        'slot-moved',
        'slot-renamed',
        'publication',
        'keys',
        'cluster',
        'timeline',
        'went-back',
        'kafka',
      ],
    },
  },
  tidemark_publisher_unknown_messages_total: {
    type: 'counter',
    unit: '{message}',
    meaning: 'Replication messages of a kind that this build does not know; they were skipped.',
    labels: {},
  },
  tidemark_publisher_invalidation_messages_total: {
    type: 'counter',
    unit: '{message}',
    meaning:
      'Messages of tidemark.invalidate, by what became of them: taken, not understood and hence a floor of every keyspace, or refused because they were not transactional.',
    labels: { outcome: ['taken', 'floor', 'refused'] },
  },
  tidemark_publisher_restarts_total: {
    type: 'counter',
    unit: '{restart}',
    meaning: 'Times that the stream was opened again, by the code of the error that ended it.',
    labels: { code: 'code' },
  },
  tidemark_publisher_held_back_seconds: {
    type: 'gauge',
    unit: 's',
    meaning:
      'How long the first transaction that is not yet visible on the primary has been held back; absent when none is.',
    labels: {},
  },
  tidemark_publisher_standby: {
    type: 'gauge',
    unit: '1',
    meaning: 'One while the publisher stands by because another has the source, else zero.',
    labels: {},
  },
  tidemark_publisher_buffer_bytes: {
    type: 'gauge',
    unit: 'By',
    meaning: 'Memory that transactions take which Kafka has not acknowledged.',
    labels: {},
  },
  tidemark_publisher_epoch: {
    type: 'gauge',
    unit: '1',
    meaning: 'The epoch that is published now.',
    labels: {},
  },
  tidemark_publisher_beat_age_seconds: {
    type: 'gauge',
    unit: 's',
    meaning: 'Time since the last watermark record that Kafka acknowledged for every partition.',
    labels: {},
  },
  tidemark_publisher_slot_retained_bytes: {
    type: 'gauge',
    unit: 'By',
    meaning:
      'WAL that Postgres keeps for the slot, from its restart position on: a transaction that runs for long holds that back.',
    labels: {},
  },
  tidemark_publisher_slot_unconfirmed_bytes: {
    type: 'gauge',
    unit: 'By',
    meaning: 'WAL that the slot has not confirmed: what the publisher is behind.',
    labels: {},
  },
  tidemark_publisher_slot_safe_bytes: {
    type: 'gauge',
    unit: 'By',
    meaning:
      'WAL that may still be written before Postgres may give the slot up; absent when max_slot_wal_keep_size is not set.',
    labels: {},
  },

  // ── worker ────────────────────────────────────────────────────────────────────────────────────────────────
  invalidation_lag_seconds: {
    type: 'histogram',
    unit: 's',
    meaning:
      'From the commit to the invalidation applied in the region; the clocks of Postgres and of the worker are compared.',
    labels: REGION_KEYSPACE,
    buckets: LAG_BUCKETS_S,
  },
  kafka_consumer_lag: {
    type: 'gauge',
    unit: '{record}',
    meaning: 'Records between the offset stored in Redis and the end of the log, over all partitions.',
    labels: { region: 'region', topic: 'topic' },
  },
  tidemark_worker_events_total: {
    type: 'counter',
    unit: '{event}',
    meaning:
      'Invalidations applied, by what became of the cell: removed, retained as stale, updated in place, kept because it already held the change, or absent.',
    labels: { ...REGION_KEYSPACE, outcome: ['removed', 'retained', 'updated', 'kept', 'absent'] },
  },
  tidemark_worker_applied_batches_total: {
    type: 'counter',
    unit: '{batch}',
    meaning: 'Batches of one partition applied in one script.',
    labels: REGION,
  },
  tidemark_worker_gaps_total: {
    type: 'counter',
    unit: '{gap}',
    meaning: 'Gaps declared: a partition whose values are all refilled, because what was missed cannot be known.',
    labels: { ...REGION, cause: ['view-missing', 'offset-gone', 'record-malformed', 'epoch-unannounced'] },
  },
  tidemark_worker_shed_total: {
    type: 'counter',
    unit: '{key}',
    meaning:
      'Keys dropped to make room in a Redis that was full: cells of what had changed, and generations of tombstones.',
    labels: { ...REGION, what: ['cells', 'tombstones'] },
  },
  tidemark_worker_old_epoch_refused_total: {
    type: 'counter',
    unit: '{record}',
    meaning: 'Records of an epoch that has ended, refused: a publisher of an abandoned history still writes.',
    labels: REGION,
  },
  tidemark_worker_beat_age_seconds: {
    type: 'gauge',
    unit: 's',
    meaning: 'Time since the last beat applied, of the partition that is worst off.',
    labels: REGION,
  },
  tidemark_worker_view_age_seconds: {
    type: 'gauge',
    unit: 's',
    meaning:
      'How old the view is that readers judge by, of the partition that is worst off: since the time that the newest beat applied speaks of, by the clocks of the primary and of this machine. Absent while it is not known of every partition.',
    labels: REGION,
  },
  tidemark_worker_staleness_alarm: {
    type: 'gauge',
    unit: '1',
    meaning:
      'One while a partition is older, or has been silent for longer, than the criticality of the keyspace bears, else zero. Absent while this worker holds no partition.',
    labels: REGION_KEYSPACE,
  },
  tidemark_worker_gaps_open: {
    type: 'gauge',
    unit: '{partition}',
    meaning: 'Partitions of this worker in which nothing is fresh until the next beat.',
    labels: REGION,
  },

  // ── an app's reads, and what they share with workers ─────────────────────────────────────────────────────────
  ...REFILL_METRICS,
  db_replica_lag_seconds: {
    type: 'gauge',
    unit: 's',
    meaning: 'How far the replay of the replica is behind; absent when it does not answer.',
    labels: { region: 'region', replica: 'replica' },
  },
} as const satisfies Readonly<Record<string, Metric>>

export type MetricName = keyof typeof METRICS
export type MetricNamed<T extends Metric['type']> = {
  [N in MetricName]: (typeof METRICS)[N]['type'] extends T ? N : never
}[MetricName]

type ValueOf<L> = L extends readonly (infer V)[] ? V : string
/** The labels of one measurement of that metric. */
export type LabelsOf<N extends MetricName> = {
  readonly [L in keyof (typeof METRICS)[N]['labels']]: ValueOf<(typeof METRICS)[N]['labels'][L]>
}

/** What ends a stream and is tried again: these codes are counted from zero. */
export const RESTART_CODES = [
  'BUS_LOST_RECORDS',
  'DEADLINE_EXCEEDED',
  'PUBLISHER_FENCED',
  'SERVER_UNREACHABLE',
  'SLOT_ACTIVE',
  'SLOT_LOST',
  'SOURCE_ABANDONED',
  'SOURCE_IN_RECOVERY',
  'STREAM_BROKEN',
] as const satisfies readonly ErrorCode[]
