import { setTimeout as sleep } from 'node:timers/promises'
import { RedisSentinel, RedisServer, TcpProxy } from '@tidemark/local'
import { Redis } from 'ioredis'
import { RefillEvents } from '../../../packages/refill/src/testing/refill-events.ts'
import type { PhaseReport } from './call-log.ts'
import { TroubledShop } from './troubled-shop.ts'

/** What is done to a Redis, and how it is undone. */
export interface Trouble {
  readonly name: string
  begin(): unknown
  end(): unknown
  /** It came back empty: until a worker has been there nothing can be shown to be fresh. */
  readonly losesAll?: true
  /** It takes no writes, or takes its time, and looks are served all the same. */
  readonly serves?: true
  /** It says nothing, so that a command costs its time-out. */
  readonly isSilent?: true
  /** Each command of a call costs nearly its time-out. */
  readonly isSlow?: true
}

/** A region's Redis, as the apps and as their worker are given it, and what becomes of it. */
export interface TroubledRedis {
  readonly url: string
  readonly ownerUrl?: string
  readonly troubles: readonly Trouble[]
}

/** A round trip takes two to four of these, as one chunk waits for the one before it: within the time-out, or beyond it. */
const SLOW = { delayMs: 50, bytesPerSecond: 10_000_000 }
const TOO_SLOW = { delayMs: 300, bytesPerSecond: 10_000_000 }

export async function oneServer(resources: AsyncDisposableStack): Promise<TroubledRedis> {
  const server = resources.use(await RedisServer.start())
  const asked = (...command: [string, ...string[]]) => ask(server, command)
  return {
    url: server.url,
    troubles: [
      { name: 'stopped', begin: () => server.kill(), end: () => server.start(), losesAll: true },
      { name: 'paused', begin: () => server.pause(), end: () => server.resume(), isSilent: true },
      {
        name: 'read-only',
        begin: () => asked('replicaof', '127.0.0.1', '1'),
        end: () => asked('replicaof', 'no', 'one'),
        serves: true,
      },
      {
        name: 'without replicas',
        begin: () => asked('config', 'set', 'min-replicas-to-write', '1'),
        end: () => asked('config', 'set', 'min-replicas-to-write', '0'),
        serves: true,
      },
      {
        name: 'full',
        begin: () => asked('config', 'set', 'maxmemory', '1'),
        end: () => asked('config', 'set', 'maxmemory', '0'),
        serves: true,
      },
      { name: 'emptied', begin: () => asked('flushall'), end: () => undefined, losesAll: true },
    ],
  }
}

export async function farServer(resources: AsyncDisposableStack): Promise<TroubledRedis> {
  const server = resources.use(await RedisServer.start())
  const proxy = resources.use(await TcpProxy.start(server.port))
  const end = () => proxy.restore()
  return {
    url: `redis://127.0.0.1:${proxy.port}`,
    ownerUrl: server.url,
    troubles: [
      { name: 'slow', begin: () => proxy.slow(SLOW), end, serves: true, isSlow: true },
      { name: 'too slow', begin: () => proxy.slow(TOO_SLOW), end, isSilent: true },
    ],
  }
}

export async function sentinels(resources: AsyncDisposableStack): Promise<TroubledRedis> {
  const group = resources.use(await RedisSentinel.start())
  const master = await group.master()
  return {
    url: group.url,
    ownerUrl: master.url,
    troubles: [{ name: 'failing over', begin: () => master.kill(), end: () => group.failedOverFrom(master) }],
  }
}

export interface TroubleReport {
  readonly trouble: PhaseReport
  /** From when its clients have found it again; of one that came back empty, from when a worker has been there. */
  readonly recovery: PhaseReport
  /** What was told of the circuits from the beginning of the trouble to the end of the recovery. */
  readonly circuits: readonly string[]
}

export interface Passage {
  readonly healthy: PhaseReport
  readonly troubled: ReadonlyMap<Trouble, TroubleReport>
}

/** A region whose apps are under load goes through the troubles of its Redis, one after another. */
export async function goThrough({ url, ownerUrl, troubles }: TroubledRedis, phaseMs: number): Promise<Passage> {
  await using shop = await TroubledShop.open(url, ownerUrl)
  await sleep(phaseMs)
  const healthy = shop.log.take('healthy')
  const troubled = new Map<Trouble, TroubleReport>()
  for (const trouble of troubles) {
    using events = new RefillEvents()
    await trouble.begin()
    shop.log.take('the change')
    await sleep(phaseMs)
    const during = shop.log.take(trouble.name)
    await trouble.end()
    await shop.reached()
    if (trouble.losesAll) await shop.trust()
    // Until its circuit has let a probe through, it is away for an app all the same.
    await shop.servedAgain()
    if (!trouble.losesAll) shop.log.take('the change')
    await sleep(phaseMs)
    const recovery = shop.log.take(`after ${trouble.name}`)
    const circuits = events.all.map(({ event }) => event).filter((event) => event.startsWith('redisCircuit'))
    troubled.set(trouble, { trouble: during, recovery, circuits })
  }
  return { healthy, troubled }
}

async function ask(server: RedisServer, [command, ...args]: readonly [string, ...string[]]): Promise<void> {
  const client = new Redis(server.url)
  try {
    await client.call(command, ...args)
  } finally {
    client.disconnect()
  }
}
