import { join } from 'node:path'
import { decodeView, offsetOf, partitionKeys } from '@tidemark/guard'
import { type RedisCluster, type RedisSentinel, type RedisServer, waitUntil } from '@tidemark/local'
import type { Redis } from 'ioredis'
import { quietRedis } from '../pipeline/pipeline-context.ts'
import { pick } from '../seeded-random.ts'
import { lasting, type Region, type Scenario } from './region.ts'
import type { RegionContext } from './region-context.ts'
import { clusterRedis, oneRedis, sentinelRedis } from './region-redis.ts'

/** Between two losses: about as long as it takes to trust the views again. */
const FLUSH_EVERY_MS = 2_000
/** The sentinels look at the old master again only every ten seconds. */
const DEADLINE_MS = 60_000
const KEYS_AT_ONCE = 20
const HALF_MOVED_MS = 5

/** Killed, and started again with what its settings have made it keep. */
export function redisKilled(redis: RedisServer): Scenario {
  return {
    servers: { redis: oneRedis(redis.url) },
    workers: 1,
    fault: (region, { ms }) =>
      region.losing(async () => {
        await redis.kill()
        await lasting(ms)
        await redis.start()
      }),
  }
}

/** Taken back to what it held when the fault began. */
export function redisRestored(redis: RedisServer): Scenario {
  return {
    servers: { redis: oneRedis(redis.url) },
    workers: 1,
    fault: async (region, { ms }) => {
      const snapshot = join(redis.dir, 'older.rdb')
      await redis.snapshotTo(snapshot)
      await lasting(ms)
      await region.losing(() => redis.restoreFrom(snapshot))
    },
  }
}

/** Emptied again and again, by somebody who thinks that a cache may be. */
export function redisFlushed(redis: RedisServer): Scenario {
  return {
    servers: { redis: oneRedis(redis.url) },
    workers: 1,
    fault: async (region, { ms }) => {
      for (let passedMs = 0; passedMs < ms; passedMs += FLUSH_EVERY_MS) {
        await region.losing(() => region.context.redis.flushall())
        await lasting(FLUSH_EVERY_MS)
      }
    },
  }
}

/** The master dies, and the sentinels make a replica the master, which may lack the last writes. */
export function masterKilled(group: RedisSentinel): Scenario {
  return {
    servers: { redis: sentinelRedis(group) },
    workers: 1,
    fault: async (region, { ms }) => {
      await region.losing(async () => {
        const former = await group.master()
        await group.failOver()
        await lasting(ms)
        await former.start()
      })
    },
  }
}

/**
 * A replica is made the master, and the old master goes on with the worker and one of the apps, which hear of nothing;
 * the other app is with the new one. What the old master is given in that time is lost when the partition ends.
 */
export function masterPartitioned(group: RedisSentinel): Scenario {
  return {
    servers: { redis: sentinelRedis(group) },
    workers: 1,
    fault: (region, { ms }) =>
      region.losing(async () => {
        const former = await group.partition({ withClients: true })
        const next = await group.failedOverFrom(former)
        await lasting(ms)
        const isAhead = async () => (await offsetIn(former, region)) > (await offsetIn(next, region))
        await waitUntil('the worker goes on with the old master', isAhead, { timeoutMs: DEADLINE_MS })
        await group.heal()
        await waitUntil('the old master is a replica', () => isReplica(former), { timeoutMs: DEADLINE_MS })
      }),
  }
}

/** Each slot that carries a partition is handed to another master, key by key, again and again. Nothing is lost. */
export function clusterResharded(cluster: RedisCluster): Scenario {
  return {
    servers: { redis: clusterRedis(cluster) },
    workers: 1,
    fault: async ({ context }, { ms, random }) => {
      const slots = await slotsOf(context, cluster)
      const masters = new Set(await Promise.all(slots.map((slot) => cluster.ownerOf(slot))))
      const sinceMs = performance.now()
      for (let moves = 0; moves < slots.length || performance.now() - sinceMs < ms; moves++) {
        const slot = slots[moves % slots.length]!
        const owner = await cluster.ownerOf(slot)
        const to = pick(
          random,
          [...masters].filter((master) => master !== owner),
        )
        await cluster.moveSlot(slot, to, { keysAtOnce: KEYS_AT_ONCE, between: () => lasting(HALF_MOVED_MS) })
      }
    },
  }
}

/** A master that carries partitions dies, and its replica takes over without the last writes. */
export function clusterNodeKilled(cluster: RedisCluster): Scenario {
  return {
    servers: { redis: clusterRedis(cluster) },
    workers: 1,
    fault: (region, { ms }) =>
      region.losing(async () => {
        const [slot] = await slotsOf(region.context, cluster)
        const master = await cluster.ownerOf(slot!)
        await master.kill()
        const isTakenOver = async () => (await cluster.ownerOf(slot!)) !== master
        await waitUntil('a replica has the slot', isTakenOver, { timeoutMs: DEADLINE_MS })
        await lasting(ms)
        await master.start()
        await cluster.untilOk()
      }),
  }
}

async function isReplica(server: RedisServer): Promise<boolean> {
  return asking(server, async (redis) => (await redis.role())[0] === 'slave')
}

/** How far the first partition is there. */
async function offsetIn(server: RedisServer, { context }: Region): Promise<bigint> {
  const { view } = partitionKeys(context.source.keyPrefix, 0)
  return asking(server, async (redis) => offsetOf(decodeView(await redis.getBuffer(view))!))
}

async function asking<T>({ url }: RedisServer, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = quietRedis(url)
  try {
    return await question(redis)
  } finally {
    redis.disconnect()
  }
}

async function slotsOf({ source }: RegionContext, cluster: RedisCluster): Promise<number[]> {
  const views = Array.from({ length: source.partitions }, (_, p) => partitionKeys(source.keyPrefix, p).view)
  return [...new Set(await Promise.all(views.map((view) => cluster.slotOf(view))))]
}
