import { kafkaConnection } from '@tidemark/kafka'
import { redisConnection } from '@tidemark/redis'
import { loadSource, runService } from '@tidemark/service'
import { Health, startTelemetry } from '@tidemark/telemetry'
import { workerSettings } from './settings.ts'
import { runWorker } from './worker.ts'

await runService({
  name: 'tidemark-worker',
  description: 'applies the invalidations of a source to the Redis of one region.',
  settings: workerSettings,
  run: async (settings, { signal, log }) => {
    const kafka = kafkaConnection(settings)
    const redis = redisConnection(settings)
    const source = await loadSource(settings.TIDEMARK_CONFIG)
    const region = settings.TIDEMARK_REGION
    const health = new Health()
    const telemetry = await startTelemetry({
      service: 'tidemark-worker',
      region,
      host: settings.TIDEMARK_TELEMETRY_HOST,
      port: settings.TIDEMARK_TELEMETRY_PORT,
      health,
    })
    log.info({ source: source.name, region, telemetryPort: telemetry.port }, 'worker starting')
    try {
      await runWorker({
        source,
        region,
        redis,
        ...kafka,
        ...(settings.TIDEMARK_KAFKA_GROUP && { groupId: settings.TIDEMARK_KAFKA_GROUP }),
        log,
        signal,
        health,
        tuning: {
          stallMs: settings.TIDEMARK_STALL_MS,
          maxEventsPerBatch: settings.TIDEMARK_MAX_EVENTS_PER_BATCH,
          maxBytesPerBatch: settings.TIDEMARK_MAX_BYTES_PER_BATCH,
          partitionsConcurrently: settings.TIDEMARK_PARTITIONS_CONCURRENTLY,
          fetchMaxBytes: settings.TIDEMARK_FETCH_MAX_BYTES,
          fetchMinBytes: settings.TIDEMARK_FETCH_MIN_BYTES,
          fetchWaitMs: settings.TIDEMARK_FETCH_WAIT_MS,
          maxTombstones: settings.TIDEMARK_MAX_TOMBSTONES,
          tombstoneMs: settings.TIDEMARK_TOMBSTONE_MS,
          redisTimeoutMs: settings.TIDEMARK_REDIS_TIMEOUT_MS,
          redisPatienceMs: settings.TIDEMARK_REDIS_PATIENCE_MS,
          kafkaSessionMs: settings.TIDEMARK_KAFKA_SESSION_MS,
          kafkaSilenceMs: settings.TIDEMARK_KAFKA_SILENCE_MS,
        },
      })
    } finally {
      await telemetry.stop()
    }
  },
})
