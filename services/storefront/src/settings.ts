import { redisSettings } from '@tidemark/redis'
import { serverUrl, serviceSettings } from '@tidemark/service'
import { z } from 'zod'

export const storefrontSettings = serviceSettings({
  TIDEMARK_REGION: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,39}$/, 'must start with a lower-case letter and hold only a-z, 0-9 and -')
    .describe('The region that this shop serves.'),
  TIDEMARK_PRIMARY_URL: serverUrl('postgres', 'postgresql').meta({ secret: true }).describe('The primary.'),
  TIDEMARK_REPLICA_URLS: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(serverUrl('postgres', 'postgresql')))
    .optional()
    .meta({ secret: true })
    .describe('Replicas near this region, in the order in which they are asked; several with commas.'),
  ...redisSettings,
  TIDEMARK_SESSION_SECRET: z
    .string()
    .min(32)
    .meta({ secret: true })
    .describe('Signs session tokens, at least 32 characters; the same in every region.'),
  TIDEMARK_POOL_SIZE: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000)
    .default(10)
    .describe('Connections to each Postgres server, at most.'),
  TIDEMARK_HTTP_HOST: z.string().default('127.0.0.1').describe('The address that the shop listens on.'),
  TIDEMARK_HTTP_PORT: port(8080).describe('The port that the shop listens on; 0 takes a free one.'),
  TIDEMARK_TELEMETRY_HOST: z.string().default('127.0.0.1').describe('Where /metrics, /livez and /readyz listen.'),
  TIDEMARK_TELEMETRY_PORT: port(9466).describe('The port of /metrics, /livez and /readyz; 0 takes a free one.'),
})

function port(value: number) {
  return z.coerce.number().int().min(0).max(65_535).default(value)
}
