import { randomBytes } from 'node:crypto'
import { freePort, givenServers, type LocalServers, RunFolder, startServers, waitUntil } from '@tidemark/local'
import type { Source } from '@tidemark/protocol'
import { source } from '@tidemark/storefront'
import { Redis } from 'ioredis'
import type { Pool } from 'pg'
import type { Claims } from './claims.ts'
import { NaiveShop } from './naive-shop.ts'
import { milliseconds, type Narrator } from './narrator.ts'
import { Region } from './region.ts'
import { ServiceProcess } from './service-process.ts'
import { ShopClient } from './shop-client.ts'
import { createShop, dropShop, endOfLog, replicaHasCaughtUp, shopPool, shopUrl } from './shop-database.ts'

export const HOME = 'us-east'
export const AWAY = 'eu-west'
export const PRODUCTS = 3_000

const CONFIG = new URL('../../../services/storefront/tidemark.config.ts', import.meta.url).pathname
/** For so long a group waits for a worker that was killed; Kafka allows no less. */
export const KAFKA_SESSION_MS = 6_000
const VIEW_TIMEOUT_MS = 30_000

/** All that the story plays on. */
export interface Stage {
  readonly source: Source
  readonly home: Region
  readonly away: Region
  readonly primary: Pool
  readonly replica: Pool
  readonly services: Services
  readonly logFolder: string
  readonly signal: AbortSignal
  readonly tell: Narrator
  readonly claims: Claims
}

export interface Services {
  readonly publisher: ServiceProcess
  readonly homeWorker: ServiceProcess
  readonly awayWorker: ServiceProcess
  readonly homeShop: ServiceProcess
  readonly awayShop: ServiceProcess
}

interface Opening {
  readonly tell: Narrator
  readonly claims: Claims
  readonly signal: AbortSignal
  readonly onDeath: (error: Error) => void
  /** Takes all that is opened, and closes it in reverse. */
  readonly resources: AsyncDisposableStack
}

/** Starts servers and services, and returns when both regions trust what they hear from the publisher. */
export async function openStage(opening: Opening): Promise<Stage> {
  const { tell, claims, signal, resources } = opening
  const startedMs = performance.now()
  const onProgress = (message: string) => tell.aside(message)
  const given = givenServers(process.env)
  const servers = resources.use(await startServers({ given, onProgress, signal }))
  if (given.primaryUrl) resources.defer(() => dropShop(servers.primaryUrl, source))
  const primary = resources.adopt(shopPool(servers.primaryUrl), (pool) => pool.end())
  const replica = resources.adopt(shopPool(servers.replicaUrls[AWAY]!), (pool) => pool.end())
  await createShop(servers.primaryUrl, primary, PRODUCTS)
  await waitUntil('the replica has the shop', () => replicaHasCaughtUp(primary, replica), {
    timeoutMs: VIEW_TIMEOUT_MS,
    signal,
  })
  tell.aside(`postgres: a shop of ${PRODUCTS} products`)

  const logFolder = resources.use(await RunFolder.create()).path
  const shopPorts = { [HOME]: await freePort(), [AWAY]: await freePort() }
  const services = await startServices(opening, servers, logFolder, shopPorts)
  const naivePrefix = `naive-${randomBytes(4).toString('hex')}`
  const region = (name: typeof HOME | typeof AWAY, nearest: Pool) => {
    const redis = resources.adopt(new Redis(servers.redisUrls[name]!), (client) => client.disconnect())
    redis.on('error', () => undefined)
    const shop = new ShopClient(`http://127.0.0.1:${shopPorts[name]}`, signal)
    return new Region(name, { shop, naive: new NaiveShop(redis, nearest, naivePrefix), redis, source })
  }
  const home = region(HOME, primary)
  const away = region(AWAY, replica)
  const position = await endOfLog(primary, source)
  const bothTrust = async () => (await home.hasReached(position)) && (await away.hasReached(position))
  await waitUntil('both regions have a view', bothTrust, { timeoutMs: VIEW_TIMEOUT_MS, signal })
  tell.aside(`ready after ${milliseconds(performance.now() - startedMs)}`)
  return { source, home, away, primary, replica, services, logFolder, signal, tell, claims }
}

async function startServices(
  { tell, signal, onDeath, resources }: Opening,
  servers: LocalServers,
  logFolder: string,
  shopPorts: Readonly<Record<string, number>>,
): Promise<Services> {
  const started: ServiceProcess[] = []
  resources.defer(async () => {
    await Promise.all(started.map((service) => service[Symbol.asyncDispose]()))
  })
  const start = async (name: string, folder: string, environment: Readonly<Record<string, string>>) => {
    const spec = { name, folder, environment: { TIDEMARK_CONFIG: CONFIG, ...environment } }
    tell.aside(`${name}: starting`)
    const service = await ServiceProcess.start({ ...spec, logFolder, signal, onDeath })
    started.push(service)
    return service
  }
  const primaryUrl = shopUrl(servers.primaryUrl)
  const brokers = servers.kafkaBrokers
  const sessionSecret = randomBytes(32).toString('hex')
  const worker = (region: string) =>
    start(`worker-${region}`, 'worker', {
      TIDEMARK_REGION: region,
      TIDEMARK_REDIS_URL: servers.redisUrls[region]!,
      TIDEMARK_KAFKA_BROKERS: brokers,
      TIDEMARK_KAFKA_SESSION_MS: String(KAFKA_SESSION_MS),
    })
  const shop = (region: string, replicaUrl: string | undefined) =>
    start(`storefront-${region}`, 'storefront', {
      TIDEMARK_REGION: region,
      TIDEMARK_PRIMARY_URL: primaryUrl,
      ...(replicaUrl && { TIDEMARK_REPLICA_URLS: shopUrl(replicaUrl) }),
      TIDEMARK_REDIS_URL: servers.redisUrls[region]!,
      TIDEMARK_SESSION_SECRET: sessionSecret,
      TIDEMARK_HTTP_PORT: String(shopPorts[region]),
    })
  // The publisher makes the topic; the workers wait for it, the shops for nobody.
  const publisher = await start('publisher', 'publisher', {
    TIDEMARK_PRIMARY_URL: primaryUrl,
    TIDEMARK_KAFKA_BROKERS: brokers,
  })
  const [homeWorker, awayWorker] = await Promise.all([worker(HOME), worker(AWAY)])
  const [homeShop, awayShop] = await Promise.all([shop(HOME, undefined), shop(AWAY, servers.replicaUrls[AWAY])])
  return { publisher, homeWorker, awayWorker, homeShop, awayShop }
}
