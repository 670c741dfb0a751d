import { kafkaSettings } from '@tidemark/kafka'
import { primarySettings } from '@tidemark/postgres'
import { serviceSettings } from '@tidemark/service'
import { z } from 'zod'

/** Everything that the publisher can be told; the README's table and `--help` are made from it. */
export const settings = serviceSettings({
  TIDEMARK_CONFIG: z
    .string()
    .default('tidemark.config.ts')
    .describe('The file that exports the source, relative to the working directory.'),
  ...primarySettings,
  ...kafkaSettings,
  TIDEMARK_KAFKA_REPLICATION_FACTOR: count(1, 32, 1, 'Copies of each partition, when the topic is made.'),
  TIDEMARK_BEAT_MS: count(10, 60_000, 200, 'How often the watermark moves while nothing happens.'),
  TIDEMARK_POSTGRES_SILENCE_MS: count(
    1_000,
    600_000,
    15_000,
    'How long Postgres may say nothing before the stream is opened again.',
  ),
  TIDEMARK_KAFKA_DEADLINE_MS: count(
    500,
    600_000,
    10_000,
    'How long one send to Kafka may take before the producer is made anew.',
  ),
  TIDEMARK_MAX_BUFFER_BYTES: count(
    65_536,
    2 ** 32,
    16 * 1024 * 1024,
    'What may wait in memory for Kafka before reading from Postgres stops.',
  ),
  TIDEMARK_TELEMETRY_HOST: z
    .string()
    .default('127.0.0.1')
    .describe('The address that /metrics, /livez and /readyz listen on.'),
  TIDEMARK_TELEMETRY_PORT: count(0, 65_535, 9464, 'Their port; 0 takes any free one.'),
})

function count(min: number, max: number, value: number, meaning: string) {
  return z.coerce.number().int().min(min).max(max).default(value).describe(meaning)
}
