import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type Attributes, type Counter, type MeterProvider, metrics } from '@opentelemetry/api'
import type { Source } from '@tidemark/protocol'
import { CHANNEL, type RefillEvent } from '../events.ts'
import { type Count, countEvent } from './counted.ts'
import { REFILL_METRICS, type RefillMetric } from './metric-table.ts'

export interface RecordRefillOptions {
  /** The global one unless given: start the SDK first, for the API hands out nothing that wakes up later. */
  readonly meterProvider?: MeterProvider
  /** Only what is told of this source is counted; with `region`, every counter of its keyspaces stands at zero at once. */
  readonly source?: Source
  /** As it was given to `openTidemark`. */
  readonly region?: string
  /** The names of the replicas, whose counters shall stand at zero, too. */
  readonly replicas?: readonly string[]
}

const TABLE = Object.entries(REFILL_METRICS as Readonly<Record<string, RefillMetric>>)

interface Series {
  readonly name: string
  readonly labels: Attributes
}

/** Counts what the package tells on its diagnostics channel, until it is disposed of. */
export function recordRefill(options: RecordRefillOptions = {}): Disposable {
  const { meterProvider = metrics.getMeterProvider(), source } = options
  const counters = new Map<string, Counter>()
  const meter = meterProvider.getMeter('tidemark')
  for (const [name, { meaning, unit }] of TABLE) {
    counters.set(name, meter.createCounter(name, { description: meaning, unit }))
  }
  const count: Count = (name, labels, by = 1) => counters.get(name)?.add(by, labels as Attributes)
  for (const { name, labels } of knownSeries(options)) counters.get(name)?.add(0, labels)
  const onEvent = (message: unknown) => {
    const event = message as RefillEvent
    if (source === undefined || event.source === source.name) countEvent(event, count)
  }
  subscribe(CHANNEL, onEvent)
  return { [Symbol.dispose]: () => void unsubscribe(CHANNEL, onEvent) }
}

/** Every combination of label values that is known beforehand: what never happened is zero, and not absent. */
function knownSeries({ source, region, replicas = [] }: RecordRefillOptions): Series[] {
  if (source === undefined || region === undefined) return []
  const known = {
    region: [region],
    keyspace: Object.keys(source.keyspaces),
    replica: replicas,
    source: ['primary', ...replicas],
  }
  return TABLE.flatMap(([name, metric]) => {
    let all: Attributes[] = [{}]
    for (const [label, given] of Object.entries(metric.labels)) {
      const values = typeof given === 'string' ? known[given] : given
      all = all.flatMap((labels) => values.map((value) => ({ ...labels, [label]: value })))
    }
    return all.map((labels) => ({ name, labels }))
  })
}
