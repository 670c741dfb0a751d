import { counter, gauge, histogram } from './instrument.ts'
import { type LabelsOf, RESTART_CODES } from './metric-table.ts'

// Recorders: what a part of the pipeline may count, each name and label from the one table. Make them after
// `startTelemetry`. Without it they do nothing.

/** What is known at a scrape; what is left out or undefined is absent from it. */
export interface PublisherReadings {
  readonly heldBackSeconds?: number | undefined
  readonly standby?: number | undefined
  readonly bufferBytes?: number | undefined
  readonly epoch?: number | undefined
  readonly beatAgeSeconds?: number | undefined
  readonly slotRetainedBytes?: number | undefined
  readonly slotUnconfirmedBytes?: number | undefined
  readonly slotSafeBytes?: number | undefined
}

export type PublisherMetrics = ReturnType<typeof publisherMetrics>
export type MessageOutcome = LabelsOf<'tidemark_publisher_invalidation_messages_total'>['outcome']
export type FloorCause = LabelsOf<'tidemark_publisher_floors_total'>['cause']
export type EpochCause = LabelsOf<'tidemark_publisher_epochs_total'>['cause']

/** @param read is called at each scrape; it must be quick and must not throw */
export function publisherMetrics(options: { keyspaces: readonly string[]; read: () => PublisherReadings }) {
  const { read } = options
  const known = { keyspace: options.keyspaces, code: RESTART_CODES }
  const events = counter('tidemark_publisher_events_total', known)
  const projections = counter('tidemark_publisher_projections_total', known)
  const transactions = counter('tidemark_publisher_transactions_total', known)
  const floors = counter('tidemark_publisher_floors_total', known)
  const epochs = counter('tidemark_publisher_epochs_total', known)
  const unknownMessages = counter('tidemark_publisher_unknown_messages_total', known)
  const invalidationMessages = counter('tidemark_publisher_invalidation_messages_total', known)
  const restarts = counter('tidemark_publisher_restarts_total', known)
  gauge('tidemark_publisher_held_back_seconds', () => [{ labels: {}, value: read().heldBackSeconds }])
  gauge('tidemark_publisher_standby', () => [{ labels: {}, value: read().standby }])
  gauge('tidemark_publisher_buffer_bytes', () => [{ labels: {}, value: read().bufferBytes }])
  gauge('tidemark_publisher_epoch', () => [{ labels: {}, value: read().epoch }])
  gauge('tidemark_publisher_beat_age_seconds', () => [{ labels: {}, value: read().beatAgeSeconds }])
  gauge('tidemark_publisher_slot_retained_bytes', () => [{ labels: {}, value: read().slotRetainedBytes }])
  gauge('tidemark_publisher_slot_unconfirmed_bytes', () => [{ labels: {}, value: read().slotUnconfirmedBytes }])
  gauge('tidemark_publisher_slot_safe_bytes', () => [{ labels: {}, value: read().slotSafeBytes }])
  return {
    events: (keyspace: string, count = 1) => events({ keyspace }, count),
    projections: (keyspace: string, count = 1) => projections({ keyspace }, count),
    transactions: (count = 1) => transactions({}, count),
    floor: (keyspace: string, cause: FloorCause) => floors({ keyspace, cause }),
    epochOpened: (cause: EpochCause) => epochs({ cause }),
    unknownMessage: () => unknownMessages({}),
    invalidationMessage: (outcome: MessageOutcome) => invalidationMessages({ outcome }),
    /** @param code an ErrorCode, or `other` for an error that has none */
    restarted: (code: string) => restarts({ code }),
  }
}

export interface WorkerReadings {
  /** Of the partition that is worst off. */
  readonly beatAgeSeconds?: number | undefined
  /** Of the partition that is worst off. */
  readonly viewAgeSeconds?: number | undefined
  readonly gapsOpen?: number | undefined
  /** By keyspace. */
  readonly stalenessAlarms?: Readonly<Record<string, boolean>> | undefined
  /** Over all partitions. */
  readonly consumerLagRecords?: number | undefined
}

export type WorkerMetrics = ReturnType<typeof workerMetrics>
export type EventOutcome = LabelsOf<'tidemark_worker_events_total'>['outcome']
export type Shed = LabelsOf<'tidemark_worker_shed_total'>['what']
export type GapCause = LabelsOf<'tidemark_worker_gaps_total'>['cause']

/** @param read is called at each scrape; it must be quick and must not throw */
export function workerMetrics(options: {
  region: string
  topic: string
  keyspaces: readonly string[]
  read: () => WorkerReadings
}) {
  const { region, topic, read } = options
  const known = { region: [region], keyspace: options.keyspaces }
  const lag = histogram('invalidation_lag_seconds')
  const events = counter('tidemark_worker_events_total', known)
  const batches = counter('tidemark_worker_applied_batches_total', known)
  const gaps = counter('tidemark_worker_gaps_total', known)
  const sheds = counter('tidemark_worker_shed_total', known)
  const oldEpochs = counter('tidemark_worker_old_epoch_refused_total', known)
  const regressions = counter('cache_version_regression_total', known)
  gauge('tidemark_worker_beat_age_seconds', () => [{ labels: { region }, value: read().beatAgeSeconds }])
  gauge('tidemark_worker_view_age_seconds', () => [{ labels: { region }, value: read().viewAgeSeconds }])
  gauge('tidemark_worker_gaps_open', () => [{ labels: { region }, value: read().gapsOpen }])
  gauge('tidemark_worker_staleness_alarm', () =>
    Object.entries(read().stalenessAlarms ?? {}).map(([keyspace, on]) => ({
      labels: { region, keyspace },
      value: on ? 1 : 0,
    })),
  )
  gauge('kafka_consumer_lag', () => [{ labels: { region, topic }, value: read().consumerLagRecords }])
  return {
    /** @param seconds from commit to applied; two clocks, so it may come out below zero and counts as zero then */
    invalidationLag: (keyspace: string, seconds: number) => lag({ region, keyspace }, Math.max(0, seconds)),
    events: (keyspace: string, outcome: EventOutcome, count = 1) => events({ region, keyspace, outcome }, count),
    appliedBatch: () => batches({ region }),
    gap: (cause: GapCause) => gaps({ region, cause }),
    shed: (what: Shed, count: number) => sheds({ region, what }, count),
    oldEpochRefused: (count = 1) => oldEpochs({ region }, count),
    versionRegression: () => regressions({ region }),
  }
}

/**
 * How far the replicas of a region are behind.
 * @param read seconds by the replica's name, without those that do not answer; called at each scrape, must not throw
 */
export function replicaLagGauge(region: string, read: () => Readonly<Record<string, number | undefined>>): void {
  gauge('db_replica_lag_seconds', () =>
    Object.entries(read()).map(([replica, value]) => ({ labels: { region, replica }, value })),
  )
}
