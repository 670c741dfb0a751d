import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { CHANNEL, type RefillEvent } from '@tidemark/refill'
import type { ReadOutcome, RefillMetrics } from '@tidemark/telemetry'

/** Counts what the refill package tells on its diagnostics channel, until it is disposed of. */
export function recordRefills(source: string, counters: RefillMetrics): Disposable {
  const onEvent = (message: unknown) => {
    const event = message as RefillEvent
    if (event.source === source) recordEvent(event, counters)
  }
  subscribe(CHANNEL, onEvent)
  return { [Symbol.dispose]: () => unsubscribe(CHANNEL, onEvent) }
}

export function recordEvent(event: RefillEvent, counters: RefillMetrics): void {
  if (!('keyspace' in event)) return
  const { keyspace } = event
  switch (event.event) {
    case 'read':
      counters.read(keyspace, outcomeOf(event))
      return
    case 'readFailed':
      counters.read(keyspace, event.code === 'UNPROVABLE' ? 'unprovable' : 'failed')
      return
    case 'replicaLagging':
      counters.staleRefill(keyspace, event.replica)
      return
    case 'sourceFailed':
      counters.sourceFailed(keyspace, event.from)
      return
    case 'redisFailed':
      counters.redisFailed(keyspace)
      return
    case 'leaseWait':
      counters.leaseWait(keyspace)
      return
    case 'refreshFailed':
      counters.refreshUnfinished(keyspace, 'failed')
      return
    case 'refreshPutOff':
      counters.refreshUnfinished(keyspace, 'put-off')
      return
    case 'versionRegression':
      counters.versionRegression()
      return
    case 'refill':
      counters.refill(keyspace, event.from)
      if (event.outcome === 'stale' || event.outcome === 'older') counters.staleRefill(keyspace, event.from)
  }
}

function outcomeOf({ fresh, from }: RefillEvent & { event: 'read' }): ReadOutcome {
  if (!fresh) return 'stale'
  return from === 'redis' ? 'fresh' : 'miss'
}
