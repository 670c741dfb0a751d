import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import type { RedisServer } from './redis.ts'
import { withRedis } from './redis-client.ts'
import { RedisSentinel } from './redis-sentinel.ts'
import { waitUntil } from './wait.ts'

const IN_TIME = { timeoutMs: 30_000, everyMs: 100 }

let group: RedisSentinel

beforeAll(async () => {
  group = await RedisSentinel.start()
})

afterAll(async () => {
  await group[Symbol.asyncDispose]()
})

/** A client that finds the master as any other does, and whoever is the master later. */
function clientOf({ sentinels, masterName: name }: RedisSentinel): Redis {
  const addresses = sentinels.map(({ port }) => ({ host: '127.0.0.1', port }))
  const client = new Redis({ sentinels: addresses, name, maxRetriesPerRequest: null, commandTimeout: 20_000 })
  return client.on('error', () => undefined)
}

async function valueIn(server: RedisServer, key: string): Promise<string | null> {
  return withRedis(server.url, (redis) => redis.get(key))
}

async function roleOf(server: RedisServer): Promise<unknown> {
  return withRedis(server.url, async (redis) => (await redis.role())[0])
}

test('a client that is with the master stays there while a partition has made another one the master, and loses what it writes', async () => {
  await using stack = new AsyncDisposableStack()
  const client = clientOf(group)
  stack.defer(() => client.disconnect())
  await client.set('k', 'before')
  const former = await group.partition()
  const next = await group.failedOverFrom(former)
  await client.set('k', 'lost')
  expect(await valueIn(former, 'k')).toBe('lost')
  expect(await valueIn(next, 'k')).toBe('before')
  await group.heal()
  await waitUntil('the old master is a replica', async () => (await roleOf(former)) === 'slave', IN_TIME)
  await waitUntil('its client is with the new one', async () => (await client.get('k')) === 'before', IN_TIME)
  await client.set('k', 'after')
  expect(await valueIn(next, 'k')).toBe('after')
})

test('a replica is the master after the master was killed', async () => {
  const former = await group.master()
  const next = await group.failOver()
  expect(next).not.toBe(former)
  expect(await group.replicas()).toEqual([former])
  expect(await roleOf(next)).toBe('master')
})
