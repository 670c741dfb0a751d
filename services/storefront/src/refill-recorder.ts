import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { CHANNEL, type RefillEvent } from '@tidemark/refill'
import type { ReadOutcome, RefillMetrics } from '@tidemark/telemetry'

/** The counters that events go to; the lag of replicas comes from elsewhere. */
type Counters = Pick<RefillMetrics, 'read' | 'refill' | 'staleRefill' | 'leaseWait' | 'versionRegression'>

/** Counts what the refill package tells on its diagnostics channel, until it is disposed of. */
export function recordRefills(source: string, counters: Counters): Disposable {
  const onEvent = (message: unknown) => {
    const event = message as RefillEvent
    if (event.source === source) recordEvent(event, counters)
  }
  subscribe(CHANNEL, onEvent)
  return { [Symbol.dispose]: () => unsubscribe(CHANNEL, onEvent) }
}

export function recordEvent(event: RefillEvent, counters: Counters): void {
  const { keyspace } = event
  if (event.event === 'read') counters.read(keyspace, outcomeOf(event))
  else if (event.event === 'readFailed') counters.read(keyspace, event.code === 'UNPROVABLE' ? 'unprovable' : 'failed')
  else if (event.event === 'replicaLagging') counters.staleRefill(keyspace, event.replica)
  else if (event.event === 'leaseWait') counters.leaseWait(keyspace)
  else if (event.event === 'versionRegression') counters.versionRegression()
  else if (event.event === 'refill') {
    counters.refill(keyspace, event.from)
    if (event.outcome === 'stale' || event.outcome === 'older') counters.staleRefill(keyspace, event.from)
  }
}

function outcomeOf({ fresh, from }: RefillEvent & { event: 'read' }): ReadOutcome {
  if (!fresh) return 'stale'
  return from === 'redis' ? 'fresh' : 'miss'
}
