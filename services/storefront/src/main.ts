import { type RegionRedis, redisConnection } from '@tidemark/redis'
import { openTidemark } from '@tidemark/refill'
import { recordRefill } from '@tidemark/refill/otel'
import { type Logger, outageLevel, retrying, runService } from '@tidemark/service'
import { Health, replicaLagGauge, startTelemetry } from '@tidemark/telemetry'
import type { Pool } from 'pg'
// Imported, not loaded by a path from the settings: what the shop reads is checked against its keyspaces' types.
import source from '../tidemark.config.ts'
import { ReplicaLagProbe } from './replica-lag-probe.ts'
import { postgresPool, regionRedis } from './servers.ts'
import { storefrontSettings } from './settings.ts'
import { buildShop } from './shop.ts'

const MAX_DRAIN_MS = 3_000

await runService({
  name: 'storefront',
  description: 'the example shop of one region: reads through Tidemark, writes to the primary',
  settings: storefrontSettings,
  run: async (given, { signal, log }) => {
    await using resources = new AsyncDisposableStack()
    const connection = redisConnection(given)
    const region = given.TIDEMARK_REGION
    const health = new Health()
    const telemetry = await startTelemetry({
      service: 'storefront',
      region,
      host: given.TIDEMARK_TELEMETRY_HOST,
      port: given.TIDEMARK_TELEMETRY_PORT,
      health,
    })
    resources.defer(() => telemetry.stop())

    const redis = resources.adopt(regionRedis(connection, log), (client) => client.close())
    const pool = (name: string, url: string) =>
      resources.adopt(postgresPool(name, url, given.TIDEMARK_POOL_SIZE, log), (p) => p.end())
    const primary = pool('primary', given.TIDEMARK_PRIMARY_URL)
    const replicas = (given.TIDEMARK_REPLICA_URLS ?? []).map((url, i) => {
      const name = `${region}-replica-${i + 1}`
      return { name, pool: pool(name, url) }
    })

    const lag = resources.use(new ReplicaLagProbe(primary, replicas))
    replicaLagGauge(region, () => lag.seconds)
    resources.use(recordRefill({ source, region, replicas: replicas.map((replica) => replica.name) }))

    const tokenKeys = [{ id: 0, secret: given.TIDEMARK_SESSION_SECRET }]
    const tidemark = resources.use(await openTidemark({ source, redis, primary, replicas, region, tokenKeys }))
    const shop = buildShop({ tidemark, log })
    await shop.listen({ host: given.TIDEMARK_HTTP_HOST, port: given.TIDEMARK_HTTP_PORT })
    resources.defer(() => drained(shop))

    const reached = health.check('servers')
    await untilReached(redis, primary, signal, log)
    reached.pass()
    log.info({ region, address: shop.listeningOrigin, telemetryPort: telemetry.port }, 'the shop is open')
    await aborted(signal)
  },
})

/**
 * A shop is ready once it has reached its servers, and stays so: it can do without its Redis, and the primary is
 * everybody's, so that its loss would take all shops out of service at once, those with a full cache too.
 */
async function untilReached(redis: RegionRedis, primary: Pool, signal: AbortSignal, log: Logger): Promise<void> {
  const reached = (server: string, ask: () => Promise<unknown>) =>
    retrying(async () => await ask(), {
      signal,
      minDelayMs: 50,
      maxDelayMs: 1_000,
      onRetry: ({ error, failures, outageMs }) =>
        log[outageLevel(outageMs)](
          { err: error, failures, outageMs: Math.round(outageMs) },
          `${server} not reached yet`,
        ),
    })
  await Promise.all([reached('Redis', () => redis.ping()), reached('primary', () => primary.query('select 1'))])
}

/**
 * Requests in flight are answered, for as long as that takes within bounds. A connection over which nothing was asked
 * yet counts as busy, and alone would keep the shop from ending until it times out.
 */
async function drained(shop: ReturnType<typeof buildShop>): Promise<void> {
  const insist = setTimeout(() => shop.server.closeAllConnections(), MAX_DRAIN_MS)
  await shop.close()
  clearTimeout(insist)
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal.aborted) resolve()
  else signal.addEventListener('abort', () => resolve(), { once: true })
  return promise
}
