import { kafkaSettings } from '@tidemark/kafka'
import { serviceSettings } from '@tidemark/service'
import { z } from 'zod'
import { DEFAULT_TUNING } from './worker.ts'

const milliseconds = (min: number, fallback: number) => z.coerce.number().int().min(min).max(600_000).default(fallback)

export const workerSettings = serviceSettings({
  TIDEMARK_CONFIG: z.string().default('tidemark.config.ts').describe('The file that exports the source.'),
  TIDEMARK_REGION: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,39}$/, 'must start with a lower-case letter and hold only a-z, 0-9 and -')
    .describe('The region whose Redis this worker writes to.'),
  TIDEMARK_REDIS_URL: z
    .url({ protocol: /^rediss?$/, error: 'must be redis://host:port or rediss://host:port' })
    .meta({ secret: true })
    .describe('The Redis of the region.'),
  ...kafkaSettings,
  TIDEMARK_KAFKA_GROUP: z
    .string()
    .optional()
    .describe('The consumer group; `tidemark.<source>.<region>` unless given.'),
  TIDEMARK_TELEMETRY_HOST: z.string().default('127.0.0.1').describe('Where /metrics, /livez and /readyz listen.'),
  TIDEMARK_TELEMETRY_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(9465)
    .describe('The port of /metrics, /livez and /readyz; 0 takes a free one.'),
  TIDEMARK_STALL_MS: milliseconds(100, DEFAULT_TUNING.stallMs).describe(
    'Not ready once a partition has had no beat for this long.',
  ),
  TIDEMARK_MAX_EVENTS_PER_BATCH: z.coerce
    .number()
    .int()
    .min(1)
    .max(5_000)
    .default(DEFAULT_TUNING.maxEventsPerBatch)
    .describe('Most events applied in one script; Redis does nothing else meanwhile.'),
  TIDEMARK_PARTITIONS_CONCURRENTLY: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(DEFAULT_TUNING.partitionsConcurrently)
    .describe('Partitions applied at the same time.'),
  TIDEMARK_FETCH_MAX_BYTES: z.coerce
    .number()
    .int()
    .min(16_384)
    .max(67_108_864)
    .default(DEFAULT_TUNING.fetchMaxBytes)
    .describe('Most bytes that one fetch brings; it bounds the memory that waits for Redis.'),
  TIDEMARK_REDIS_TIMEOUT_MS: milliseconds(50, DEFAULT_TUNING.redisTimeoutMs).describe(
    'How long one command may take before it counts as failed and is tried again.',
  ),
  TIDEMARK_REDIS_PATIENCE_MS: milliseconds(100, DEFAULT_TUNING.redisPatienceMs).describe(
    'How long Redis may fail before this worker leaves the group and lets others try.',
  ),
  TIDEMARK_KAFKA_SESSION_MS: milliseconds(1_000, DEFAULT_TUNING.kafkaSessionMs).describe(
    'How long the group waits for a worker that died before its partitions go to others.',
  ),
  TIDEMARK_KAFKA_SILENCE_MS: milliseconds(1_000, DEFAULT_TUNING.kafkaSilenceMs).describe(
    'Without a sign of life from Kafka for this long the client is made anew; more than the session time.',
  ),
})
