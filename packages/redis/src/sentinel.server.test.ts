import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { RedisSentinel, type RedisServer, waitUntil } from '@tidemark/local'
import { Redis } from 'ioredis'
import { isRedisError } from './redis-error.ts'
import { RegionRedis } from './region-redis.ts'
import { redisAt } from './settings.ts'

const COMMAND_TIMEOUT_MS = 500
const IN_TIME = { timeoutMs: 30_000, everyMs: 50 }
const UNTIL_STARTED_MS = 60_000

let group: RedisSentinel
let redis: RegionRedis

beforeAll(async () => {
  group = await RedisSentinel.start({ replicas: 2 })
}, UNTIL_STARTED_MS)

afterAll(async () => {
  await group?.[Symbol.asyncDispose]()
})

afterEach(() => {
  redis.close()
})

async function connected(url: string): Promise<void> {
  redis = new RegionRedis(redisAt(url), { clientName: 'test', commandTimeoutMs: COMMAND_TIMEOUT_MS })
  await waitUntil('it is connected', () => redis.ping().then(() => true), IN_TIME)
}

async function write(value: string): Promise<boolean> {
  await redis.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, 'k', value)
  return true
}

/** Within the bound of a command, or a little more, whatever becomes of it. */
async function isWritten(value: string): Promise<boolean> {
  const sinceMs = performance.now()
  const isDone = await write(value).catch((error: unknown) => {
    if (isRedisError(error) && error.retriable) return false
    throw error
  })
  expect(performance.now() - sinceMs).toBeLessThan(2 * COMMAND_TIMEOUT_MS)
  return isDone
}

async function valueIn(server: RedisServer): Promise<string | null> {
  const client = new Redis(server.url)
  try {
    return await client.get('k')
  } finally {
    client.disconnect()
  }
}

test('a Sentinel that is frozen does not hold up the others’ answers', async () => {
  group.sentinels[0]!.pause()
  try {
    await connected(group.url)
    await write('through another')
  } finally {
    group.sentinels[0]!.resume()
  }
})

test('a master of which no Sentinel knows is told in time', async () => {
  const connection = redisAt(group.url.replace(/#.*/, '#nobody'))
  redis = new RegionRedis(connection, { clientName: 'test', commandTimeoutMs: COMMAND_TIMEOUT_MS, once: true })
  await expect(redis.ping()).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' })
})

test('a master that is killed costs errors that pass, and the next one is found', async () => {
  await connected(group.url)
  await write('before')
  const former = await group.master()
  await former.kill()
  await waitUntil('the next master is written to', () => isWritten('after'), IN_TIME)
  expect(await valueIn(await group.failedOverFrom(former))).toBe('after')
})

test('a failover is followed while the old master still answers', async () => {
  await connected(group.urlBeside)
  await write('before')
  const former = await group.partition()
  const next = await group.failedOverFrom(former)
  const reaches = async (value: string) => (await isWritten(value)) && (await valueIn(next)) === value
  await waitUntil('the new master is written to', () => reaches('after'), IN_TIME)
  expect(await valueIn(former)).not.toBe('after')
})
