import { kafkaConnection } from '@tidemark/kafka'
import { primaryUrl } from '@tidemark/postgres'
import { loadSource, runService } from '@tidemark/service'
import { Health, startTelemetry } from '@tidemark/telemetry'
import { runPublisher } from './publisher.ts'
import { settings } from './settings.ts'

await runService({
  name: 'publisher',
  description: 'tails Postgres logical replication and publishes versioned invalidations to Kafka',
  settings,
  run: async (given, { signal, log }) => {
    const kafka = kafkaConnection(given)
    const postgresUrl = primaryUrl(given)
    const source = await loadSource(given.TIDEMARK_CONFIG)
    const health = new Health()
    const telemetry = await startTelemetry({
      service: 'publisher',
      host: given.TIDEMARK_TELEMETRY_HOST,
      port: given.TIDEMARK_TELEMETRY_PORT,
      health,
    })
    log.info({ source: source.name, topic: source.topic, telemetryPort: telemetry.port }, 'the publisher starts')
    try {
      await runPublisher({
        source,
        postgresUrl,
        ...kafka,
        replicationFactor: given.TIDEMARK_KAFKA_REPLICATION_FACTOR,
        beatMs: given.TIDEMARK_BEAT_MS,
        silenceMs: given.TIDEMARK_POSTGRES_SILENCE_MS,
        sendDeadlineMs: given.TIDEMARK_KAFKA_DEADLINE_MS,
        maxBufferBytes: given.TIDEMARK_MAX_BUFFER_BYTES,
        signal,
        log,
        health,
      })
    } finally {
      await telemetry.stop()
    }
  },
})
