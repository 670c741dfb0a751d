import { kafkaSettings } from '@tidemark/kafka'
import { redisSettings } from '@tidemark/redis'
import { serviceSettings } from '@tidemark/service'
import { z } from 'zod'
import { DEFAULT_TUNING } from './worker.ts'

const milliseconds = (min: number, fallback: number) => z.coerce.number().int().min(min).max(600_000).default(fallback)
const bytes = (min: number, fallback: number) => z.coerce.number().int().min(min).max(67_108_864).default(fallback)

export const workerSettings = serviceSettings({
  TIDEMARK_CONFIG: z.string().default('tidemark.config.ts').describe('The file that exports the source.'),
  TIDEMARK_REGION: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,39}$/, 'must start with a lower-case letter and hold only a-z, 0-9 and -')
    .describe('The region whose Redis this worker writes to.'),
  ...redisSettings,
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
    'Not ready once a partition has had no beat for this long, or none but old ones.',
  ),
  TIDEMARK_MAX_EVENTS_PER_BATCH: z.coerce
    .number()
    .int()
    .min(1)
    .max(5_000)
    .default(DEFAULT_TUNING.maxEventsPerBatch)
    .describe('Most events applied in one script; Redis does nothing else meanwhile.'),
  TIDEMARK_MAX_BYTES_PER_BATCH: bytes(16_384, DEFAULT_TUNING.maxBytesPerBatch).describe(
    'Most bytes of keys and projections sent with one script, for the same reason.',
  ),
  TIDEMARK_PARTITIONS_CONCURRENTLY: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(DEFAULT_TUNING.partitionsConcurrently)
    .describe('Partitions applied at the same time.'),
  TIDEMARK_FETCH_MAX_BYTES: bytes(16_384, DEFAULT_TUNING.fetchMaxBytes).describe(
    'Most bytes that one fetch from one broker brings; it bounds the memory that waits for Redis.',
  ),
  TIDEMARK_FETCH_MIN_BYTES: bytes(1, DEFAULT_TUNING.fetchMinBytes).describe(
    'A fetch is answered once this much has come; more makes batches larger, and invalidations later.',
  ),
  TIDEMARK_FETCH_WAIT_MS: z.coerce
    .number()
    .int()
    .min(1)
    .max(5_000)
    .default(DEFAULT_TUNING.fetchWaitMs)
    .describe('How long a fetch waits for that much; never longer than a quarter of TIDEMARK_KAFKA_SESSION_MS.'),
  TIDEMARK_MAX_TOMBSTONES: z.coerce
    .number()
    .int()
    .min(1_000)
    .max(100_000_000)
    .default(DEFAULT_TUNING.maxTombstones)
    .describe('Most tombstones in the region’s Redis, over all partitions.'),
  TIDEMARK_TOMBSTONE_MS: z.coerce
    .number()
    .int()
    .min(3_000)
    .max(86_400_000)
    .default(DEFAULT_TUNING.tombstoneMs)
    .describe(
      'How long a tombstone lasts at least, unless there are too many: the lag at which a replica may still fill.',
    ),
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
