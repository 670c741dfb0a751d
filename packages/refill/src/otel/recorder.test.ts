import { channel } from 'node:diagnostics_channel'
import { expect, test } from '@jest/globals'
import { type DataPoint, MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { defineSource } from '@tidemark/protocol'
import { CHANNEL } from '../events.ts'
import { ONE_OF_EACH, type Told } from '../testing/told-events.ts'
import { REFILL_METRICS } from './metric-table.ts'
import { type RecordRefillOptions, recordRefill } from './recorder.ts'

const shop = defineSource({
  name: 'shop',
  keyspaces: { product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } },
})
class Collector extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}

  /** Series → count, as `name outcome=fresh …`, without those labels that all have. */
  async counts(): Promise<Record<string, number>> {
    const { resourceMetrics } = await this.collect()
    const series = resourceMetrics.scopeMetrics.flatMap(({ metrics }) =>
      metrics.flatMap(({ descriptor, dataPoints }) =>
        (dataPoints as DataPoint<number>[]).map(({ attributes, value }) => [
          textOf(descriptor.name, attributes),
          value,
        ]),
      ),
    )
    return Object.fromEntries(series)
  }
}

function textOf(name: string, { region, keyspace, cache_layer, ...labels }: Record<string, unknown>): string {
  expect(region).toBe('eu')
  return [name, ...Object.entries(labels).map(([label, value]) => `${label}=${value}`)].join(' ')
}

function recording(options: RecordRefillOptions = {}) {
  const collector = new Collector()
  const recorder = recordRefill({ meterProvider: new MeterProvider({ readers: [collector] }), ...options })
  return { collector, [Symbol.dispose]: () => recorder[Symbol.dispose]() }
}

function tell(...events: readonly Told[]): void {
  for (const event of events) channel(CHANNEL).publish({ source: 'shop', region: 'eu', ...event })
}

test('every kind of event counts, and every metric of the table is counted by one', async () => {
  using recorded = recording()
  for (const event of Object.values(ONE_OF_EACH)) {
    const before = await recorded.collector.counts()
    tell(event)
    expect(await recorded.collector.counts()).not.toEqual(before)
  }
  const counted = new Set(Object.keys(await recorded.collector.counts()).map((series) => series.split(' ')[0]))
  expect([...counted].sort()).toEqual(Object.keys(REFILL_METRICS).sort())
})

test('reads are counted by what became of them', async () => {
  using recorded = recording()
  const read = { event: 'read', keyspace: 'product', from: 'redis', fresh: true, doubt: null } as const
  const failed = { event: 'readFailed', keyspace: 'product' } as const
  tell(read, { ...read, from: 'memory' }, { ...read, from: 'primary', doubt: 'absent' })
  tell({ ...read, fresh: false, doubt: 'retained' })
  tell({ ...failed, code: 'UNPROVABLE' }, { ...failed, code: 'LOAD_FAILED' }, { ...failed, code: null })
  expect(await recorded.collector.counts()).toEqual({
    'cache_reads_total outcome=fresh': 2,
    'cache_reads_total outcome=miss': 1,
    'cache_reads_total outcome=stale': 1,
    'cache_reads_total outcome=unprovable': 1,
    'cache_reads_total outcome=failed': 2,
  })
})

test('a refused replica and a refused fill are both stale refills, by their source', async () => {
  using recorded = recording()
  const refill = { event: 'refill', keyspace: 'product', from: 'eu-1' } as const
  tell(ONE_OF_EACH.replicaLagging, { ...refill, outcome: 'stale' }, { ...refill, outcome: 'older' })
  tell({ ...refill, from: 'primary', outcome: 'stored' })
  expect(await recorded.collector.counts()).toEqual({
    'cache_stale_refill_total source_replica=eu-1': 3,
    'cache_refill_total source=eu-1': 2,
    'cache_refill_total source=primary': 1,
    'cache_refill_outcome_total outcome=stale': 1,
    'cache_refill_outcome_total outcome=older': 1,
    'cache_refill_outcome_total outcome=stored': 1,
  })
})

test('values that went from memory are counted each', async () => {
  using recorded = recording()
  tell(ONE_OF_EACH.memoryDropped, ONE_OF_EACH.memoryEvicted)
  expect(await recorded.collector.counts()).toEqual({
    'cache_memory_dropped_total cause=hole': 3,
    cache_memory_evicted_total: 2,
  })
})

test('what is known beforehand stands at zero, all of it', async () => {
  using recorded = recording({ source: shop, region: 'eu', replicas: ['eu-1'] })
  const counts = await recorded.collector.counts()
  expect(new Set(Object.values(counts))).toEqual(new Set([0]))
  expect(counts).toMatchObject({
    cache_version_regression_total: 0,
    'cache_refill_total source=eu-1': 0,
    'cache_refill_total source=primary': 0,
    'cache_memory_dropped_total cause=silent': 0,
  })
  expect(new Set(Object.keys(counts).map((series) => series.split(' ')[0])).size).toBe(
    Object.keys(REFILL_METRICS).length,
  )
})

test('another source’s events, those of a kind that is not known, and those after the end are not counted', async () => {
  const recorded = recording({ source: shop })
  channel(CHANNEL).publish({ ...ONE_OF_EACH.leaseWait, source: 'other', region: 'eu' })
  channel(CHANNEL).publish({ event: 'of a later release', source: 'shop', region: 'eu' })
  recorded[Symbol.dispose]()
  tell(ONE_OF_EACH.leaseWait)
  expect(await recorded.collector.counts()).toEqual({})
})
