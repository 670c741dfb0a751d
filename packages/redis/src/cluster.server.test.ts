import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { RedisCluster, type RedisServer, waitUntil } from '@tidemark/local'
import type { RedisError, RedisErrorKind } from './redis-error.ts'
import { RegionRedis } from './region-redis.ts'
import { redisAt } from './settings.ts'
import { COMMAND_TIMEOUT_MS, failureOf } from './testing/failure.ts'

const IN_TIME = { timeoutMs: 30_000, everyMs: 50 }
const UNTIL_STARTED_MS = 60_000
/** Of one partition: two of them are there, one is not, as a cell that is not cached. */
const KEYS = ['view:{0}', 'cell:{0}', 'absent:{0}'] as const
const APPLY =
  "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[1]) return redis.call('GET', KEYS[3])"

let cluster: RedisCluster
let redis: RegionRedis

beforeAll(async () => {
  cluster = await RedisCluster.start()
}, UNTIL_STARTED_MS)

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
})

afterEach(() => {
  redis.close()
})

async function connected(): Promise<RegionRedis> {
  redis = new RegionRedis(redisAt(cluster.url), { clientName: 'test', commandTimeoutMs: COMMAND_TIMEOUT_MS })
  await waitUntil('it is connected', () => redis.ping().then(() => true), IN_TIME)
  return redis
}

function apply(): Promise<unknown> {
  return redis.eval(APPLY, KEYS.length, ...KEYS, 'v')
}

async function owner(): Promise<RedisServer> {
  return cluster.ownerOf(await cluster.slotOf(KEYS[0]))
}

async function otherThan(server: RedisServer): Promise<RedisServer> {
  return cluster.nodes.find((node) => node !== server)!
}

/** Asks until it is told this, or the wait is over. */
async function untilTold(kind: RedisErrorKind): Promise<RedisError> {
  let failure: RedisError | undefined
  const isTold = async () => {
    failure = await failureOf(apply())
    return failure.kind === kind
  }
  await waitUntil(`it is told ${kind}`, isTold, IN_TIME)
  return failure!
}

test('while a slot moves, a script with several keys is told just that, in time, and goes on at its new server', async () => {
  await connected()
  await apply()
  const told: RedisError[] = []
  const to = await otherThan(await owner())
  const slot = await cluster.slotOf(KEYS[0])
  await cluster.moveSlot(slot, to, {
    between: async () => {
      for (let attempt = 0; attempt < 3; attempt += 1) told.push(await failureOf(apply()))
    },
  })
  expect(told.length).toBeGreaterThanOrEqual(6)
  const kinds = new Set(told.map(({ kind, code }) => `${kind} ${code}`))
  expect([...kinds]).toEqual(['slot-moving REDIS_SLOT_MOVING'])
  await waitUntil('it is applied at the new server', () => apply().then(() => true), IN_TIME)
})

test('a slot that has moved behind a client’s back is found again by MOVED, without an error', async () => {
  await connected()
  await apply()
  await cluster.moveSlot(await cluster.slotOf(KEYS[0]), await otherThan(await owner()))
  await apply()
})

test('a script that asks for keys of two slots is told so, once', async () => {
  await connected()
  const failure = await failureOf(redis.eval(APPLY, 3, 'view:{0}', 'cell:{1}', 'absent:{0}', 'v'))
  expect(failure).toMatchObject({ kind: 'cross-slot', retriable: false })
})

test('a node of a cluster that is named as a server is told to be one of a cluster', async () => {
  const node = await otherThan(await owner())
  redis = new RegionRedis(redisAt(node.url), { clientName: 'test', commandTimeoutMs: COMMAND_TIMEOUT_MS, once: true })
  expect(await failureOf(apply())).toMatchObject({ kind: 'is-cluster', code: 'SERVER_REFUSED' })
})

test('a server of a slot that freezes costs no command more than its time, and is used again after it', async () => {
  await connected()
  await apply()
  const server = await owner()
  server.pause()
  const failure = await failureOf(apply())
  expect(failure.retriable).toBe(true)
  const others = Array.from({ length: 20 }, () => failureOf(apply()))
  for (const { retriable } of await Promise.all(others)) expect(retriable).toBe(true)
  server.resume()
  await waitUntil('it is used again', () => apply().then(() => true), IN_TIME)
})

test('a cluster of which one server is gone is told to be down, and used again once it is back', async () => {
  await connected()
  const server = await owner()
  await server.kill()
  expect(await untilTold('cluster-down')).toMatchObject({ code: 'REDIS_CLUSTER_DOWN', retriable: true })
  await server.start()
  await waitUntil('it is used again', () => apply().then(() => true), IN_TIME)
})

test('a cluster that freezes fails every command in time, also one that waits for its first connection', async () => {
  await connected()
  for (const node of cluster.nodes) node.pause()
  await failureOf(apply())
  redis.close()
  redis = new RegionRedis(redisAt(cluster.url), {
    clientName: 'test',
    commandTimeoutMs: COMMAND_TIMEOUT_MS,
    once: true,
  })
  await failureOf(apply())
  redis.close()
  for (const node of cluster.nodes) node.resume()
  await connected()
  await waitUntil('it is used', () => apply().then(() => true), IN_TIME)
})
