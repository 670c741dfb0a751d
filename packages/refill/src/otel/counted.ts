import type { RefillEvent } from '../events.ts'
import type { RefillLabelsOf, RefillMetricName } from './metric-table.ts'

export type Count = <N extends RefillMetricName>(name: N, labels: RefillLabelsOf<N>, by?: number) => void

type EventNamed<N> = Extract<RefillEvent, { event: N }>

/** What each kind of event counts as. One without an entry does not compile. */
const COUNTED: { readonly [N in RefillEvent['event']]: (event: EventNamed<N>, count: Count) => void } = {
  read({ region, keyspace, fresh, doubt }, count) {
    const found = doubt === null ? 'fresh' : 'miss'
    count('cache_reads_total', { region, keyspace, outcome: fresh ? found : 'stale' })
  },
  readFailed({ region, keyspace, code }, count) {
    count('cache_reads_total', { region, keyspace, outcome: code === 'UNPROVABLE' ? 'unprovable' : 'failed' })
  },
  refill({ region, keyspace, from, outcome }, count) {
    count('cache_refill_total', { region, keyspace, source: from })
    count('cache_refill_outcome_total', { region, keyspace, outcome })
    if (outcome === 'stale' || outcome === 'older') staleRefill({ region, keyspace, from }, count)
  },
  replicaLagging({ region, keyspace, replica }, count) {
    staleRefill({ region, keyspace, from: replica }, count)
  },
  replicaAwaited({ region, keyspace, replica, arrived }, count) {
    const outcome = arrived ? 'arrived' : 'given-up'
    count('cache_replica_awaited_total', { region, keyspace, replica, outcome })
  },
  replicaCircuit({ region, replica, state }, count) {
    count('cache_replica_circuit_total', { region, replica, state })
  },
  primaryLimited({ region, keyspace }, count) {
    count('cache_primary_limited_total', { region, keyspace })
  },
  sourceFailed({ region, keyspace, from }, count) {
    count('cache_source_failed_total', { region, keyspace, source: from })
  },
  redisFailed({ region, keyspace }, count) {
    count('cache_redis_failed_total', { region, keyspace })
  },
  redisCircuitOpened({ region }, count) {
    count('cache_redis_circuit_total', { region, state: 'open' })
  },
  redisCircuitClosed({ region }, count) {
    count('cache_redis_circuit_total', { region, state: 'closed' })
  },
  refreshFailed({ region, keyspace }, count) {
    count('cache_refresh_unfinished_total', { region, keyspace, why: 'failed' })
  },
  refreshPutOff({ region, keyspace }, count) {
    count('cache_refresh_unfinished_total', { region, keyspace, why: 'put-off' })
  },
  misfit({ region, keyspace }, count) {
    count('cache_misfit_total', { region, keyspace })
  },
  leaseWait({ region, keyspace }, count) {
    count('cache_lease_wait_total', { region, keyspace })
  },
  memoryDropped({ region, cause, copies }, count) {
    count('cache_memory_dropped_total', { region, cause }, copies)
  },
  memoryEvicted({ region, copies }, count) {
    count('cache_memory_evicted_total', { region }, copies)
  },
  memoryFailed({ region }, count) {
    count('cache_memory_failed_total', { region })
  },
  versionRegression({ region }, count) {
    count('cache_version_regression_total', { region })
  },
  tokenRefused({ region, flaw }, count) {
    count('cache_token_refused_total', { region, flaw })
  },
  sessionUncarried({ region }, count) {
    count('cache_session_uncarried_total', { region })
  },
}

/** A refill of another release, in the same process, may tell of what this one does not know. */
export function countEvent<N extends RefillEvent['event']>(event: EventNamed<N>, count: Count): void {
  const counted: ((event: EventNamed<N>, count: Count) => void) | undefined = COUNTED[event.event as N]
  counted?.(event, count)
}

interface Refused {
  readonly region: string
  readonly keyspace: string
  readonly from: string
}

function staleRefill({ region, keyspace, from }: Refused, count: Count): void {
  count('cache_stale_refill_total', { region, cache_layer: 'redis', keyspace, source_replica: from })
}
