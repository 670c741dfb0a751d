import { channel } from 'node:diagnostics_channel'
import { afterEach, expect, test } from '@jest/globals'
import { defineSource } from '@tidemark/protocol'
import { CHANNEL } from '@tidemark/refill'
import { recordRefill } from '@tidemark/refill/otel'
import { Health } from './health.ts'
import { METRICS, type Metric, RESTART_CODES } from './metric-table.ts'
import { publisherMetrics, replicaLagGauge, workerMetrics } from './metrics.ts'
import { startTelemetry, type Telemetry } from './sdk.ts'

let telemetry: Telemetry
let recording: Disposable | undefined

afterEach(async () => {
  recording?.[Symbol.dispose]()
  recording = undefined
  await telemetry.stop()
})

async function start(): Promise<void> {
  telemetry = await startTelemetry({ service: 'example', region: 'us-east', port: 0, health: new Health() })
}

async function scrape(): Promise<string[]> {
  const response = await fetch(`http://127.0.0.1:${telemetry.port}/metrics`)
  return (await response.text()).split('\n')
}

const KEYSPACES = ['product', 'reviews']
const source = defineSource({
  name: 'shop',
  keyspaces: { product: { key: 'product:{id}', tables: {} }, reviews: { key: 'reviews:{id}', tables: {} } },
})

/** All recorders, with every reading known. */
function everything() {
  const publisher = publisherMetrics({
    keyspaces: KEYSPACES,
    read: () => ({
      heldBackSeconds: 1,
      standby: 0,
      bufferBytes: 2,
      epoch: 3,
      beatAgeSeconds: 4,
      slotRetainedBytes: 5,
      slotUnconfirmedBytes: 6,
      slotSafeBytes: 7,
    }),
  })
  const worker = workerMetrics({
    region: 'us-east',
    topic: 'tidemark.shop',
    keyspaces: KEYSPACES,
    read: () => ({
      beatAgeSeconds: 0.25,
      viewAgeSeconds: 0.5,
      gapsOpen: 0,
      stalenessAlarms: { product: true, reviews: false },
      consumerLagRecords: 7,
    }),
  })
  replicaLagGauge('us-east', () => ({ 'replica-1': 0.5 }))
  recording?.[Symbol.dispose]()
  recording = recordRefill({ source, region: 'us-east', replicas: ['replica-1'] })
  return { publisher, worker }
}

test('every metric of the table is exposed under exactly its name and type, and nothing else is', async () => {
  await start()
  everything().worker.invalidationLag('product', 0.01)
  const exposed = (await scrape()).filter((line) => line.startsWith('# TYPE ')).map((line) => line.slice(7))
  const table = Object.entries(METRICS as Record<string, Metric>).map(([name, { type }]) => `${name} ${type}`)
  expect(exposed.sort()).toEqual([...table, 'target_info gauge'].sort())
})

test('counters stand at zero from the first scrape, for every label that is known', async () => {
  await start()
  everything()
  const lines = await scrape()
  const zero = (series: string) => expect(lines).toContain(`${series} 0`)
  zero('tidemark_publisher_transactions_total')
  zero('tidemark_publisher_events_total{keyspace="reviews"}')
  zero('tidemark_publisher_floors_total{keyspace="product",cause="truncate"}')
  zero('tidemark_publisher_epochs_total{cause="slot-lost"}')
  for (const code of RESTART_CODES) zero(`tidemark_publisher_restarts_total{code="${code}"}`)
  zero('tidemark_worker_events_total{region="us-east",keyspace="product",outcome="absent"}')
  zero('tidemark_worker_gaps_total{region="us-east",cause="epoch-unannounced"}')
  zero('cache_version_regression_total{region="us-east"}')
  zero('cache_reads_total{region="us-east",keyspace="product",outcome="stale"}')
  zero('cache_refill_total{region="us-east",keyspace="product",source="primary"}')
  zero('cache_stale_refill_total{region="us-east",cache_layer="redis",keyspace="reviews",source_replica="replica-1"}')
})

test('what is counted is told under the labels of the one who counted', async () => {
  await start()
  const { publisher, worker } = everything()
  publisher.events('product', 3)
  publisher.transactions()
  publisher.floor('reviews', 'bulk')
  publisher.epochOpened('timeline')
  publisher.unknownMessage()
  publisher.restarted('other')
  worker.events('product', 'kept', 2)
  worker.appliedBatch()
  worker.gap('offset-gone')
  worker.oldEpochRefused(4)
  worker.versionRegression()
  const told = { source: 'shop', region: 'us-east', keyspace: 'product' }
  channel(CHANNEL).publish({ ...told, event: 'read', from: 'redis', fresh: true, doubt: null })
  channel(CHANNEL).publish({ ...told, event: 'refill', from: 'replica-1', outcome: 'stale' })
  channel(CHANNEL).publish({ ...told, event: 'leaseWait', keyspace: 'reviews' })
  channel(CHANNEL).publish({ ...told, event: 'versionRegression' })
  const lines = await scrape()
  expect(lines).toEqual(
    expect.arrayContaining([
      'tidemark_publisher_events_total{keyspace="product"} 3',
      'tidemark_publisher_transactions_total 1',
      'tidemark_publisher_floors_total{keyspace="reviews",cause="bulk"} 1',
      'tidemark_publisher_epochs_total{cause="timeline"} 1',
      'tidemark_publisher_unknown_messages_total 1',
      'tidemark_publisher_restarts_total{code="other"} 1',
      'tidemark_worker_events_total{region="us-east",keyspace="product",outcome="kept"} 2',
      'tidemark_worker_applied_batches_total{region="us-east"} 1',
      'tidemark_worker_gaps_total{region="us-east",cause="offset-gone"} 1',
      'tidemark_worker_old_epoch_refused_total{region="us-east"} 4',
      'cache_reads_total{region="us-east",keyspace="product",outcome="fresh"} 1',
      'cache_refill_total{region="us-east",keyspace="product",source="replica-1"} 1',
      'cache_stale_refill_total{region="us-east",cache_layer="redis",keyspace="product",source_replica="replica-1"} 1',
      'cache_lease_wait_total{region="us-east",keyspace="reviews"} 1',
      'cache_version_regression_total{region="us-east"} 2',
    ]),
  )
})

test('gauges are read at each scrape', async () => {
  await start()
  let epoch = 1
  publisherMetrics({ keyspaces: [], read: () => ({ epoch }) })
  expect(await scrape()).toContain('tidemark_publisher_epoch 1')
  epoch = 2
  expect(await scrape()).toContain('tidemark_publisher_epoch 2')
})

test('what is unknown is absent, and absent again once it is no longer known', async () => {
  await start()
  let heldBackSeconds: number | undefined
  publisherMetrics({ keyspaces: KEYSPACES, read: () => ({ heldBackSeconds, beatAgeSeconds: Number.NaN }) })
  const held = (lines: string[]) => lines.filter((line) => line.startsWith('tidemark_publisher_held_back_seconds'))
  expect(held(await scrape())).toEqual([])
  heldBackSeconds = 12.5
  expect(held(await scrape())).toEqual(['tidemark_publisher_held_back_seconds 12.5'])
  heldBackSeconds = undefined
  const lines = await scrape()
  expect(held(lines)).toEqual([])
  expect(lines.filter((line) => line.startsWith('tidemark_publisher_beat_age_seconds'))).toEqual([])
})

test('a reading that throws costs its own gauge alone', async () => {
  await start()
  publisherMetrics({
    keyspaces: KEYSPACES,
    read: () => {
      throw new Error('the stream is being opened')
    },
  })
  workerMetrics({ region: 'us-east', topic: 't', keyspaces: KEYSPACES, read: () => ({ beatAgeSeconds: 1 }) })
  const lines = await scrape()
  expect(lines).toContain('tidemark_worker_beat_age_seconds{region="us-east"} 1')
  expect(lines.filter((line) => line.startsWith('tidemark_publisher_epoch '))).toEqual([])
})

test('the lag’s buckets reach from a millisecond to five minutes; a clock that is ahead counts as no lag', async () => {
  await start()
  const { worker } = everything()
  worker.invalidationLag('product', 0.0005)
  worker.invalidationLag('product', -3)
  worker.invalidationLag('product', 301)
  const bucket = (le: string) => `invalidation_lag_seconds_bucket{region="us-east",keyspace="product",le="${le}"}`
  const lines = await scrape()
  expect(lines).toEqual(expect.arrayContaining([`${bucket('0.001')} 2`, `${bucket('300')} 2`, `${bucket('+Inf')} 3`]))
  expect(lines).toContain('invalidation_lag_seconds_sum{region="us-east",keyspace="product"} 301.0005')
})

test('the target says service and region, and not the command line', async () => {
  await start()
  const target = (await scrape()).find((line) => line.startsWith('target_info'))
  expect(target).toBe('target_info{service_name="example",cloud_region="us-east"} 1')
})

test('recorders without telemetry do nothing, and a second start begins anew', async () => {
  everything().publisher.events('product')
  await start()
  everything().publisher.events('product', 5)
  await telemetry.stop()
  await start()
  everything()
  expect(await scrape()).toContain('tidemark_publisher_events_total{keyspace="product"} 0')
})
