import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { type RedisOptions, RedisServer, type RedisSettings } from './redis.ts'
import { RunFolder } from './run-folder.ts'

async function get(server: RedisServer, key: string): Promise<string | null> {
  return withRedis(server, (redis) => redis.get(key))
}

async function set(server: RedisServer, key: string, value: string): Promise<void> {
  await withRedis(server, (redis) => redis.set(key, value))
}

async function withRedis<T>(server: RedisServer, work: (redis: Redis) => Promise<T>, options = {}): Promise<T> {
  const redis = new Redis(server.url, { retryStrategy: () => null, ...options })
  redis.on('error', () => undefined)
  try {
    return await work(redis)
  } finally {
    if (redis.status !== 'end') redis.disconnect()
  }
}

const survivors: [string, RedisSettings, string | null][] = [
  ['nothing without persistence', {}, null],
  ['everything with an append-only file written at once', { appendonly: 'yes', appendfsync: 'always' }, '1'],
]

test.each(survivors)('a SIGKILL leaves %s', async (_what, settings, expected) => {
  await using server = await RedisServer.start({ settings })
  await set(server, 'k', '1')
  await server.kill()
  expect(server.isRunning).toBe(false)
  await server.start()
  expect(await get(server, 'k')).toBe(expected)
})

const persistence: [string, RedisSettings, string | null][] = [
  ['none', {}, null],
  ['snapshots', { save: '3600 1' }, '1'],
  ['an append-only file', { appendonly: 'yes' }, '1'],
]

test.each(persistence)(
  'a server with %s goes back to a snapshot, and keeps what it would have kept',
  async (...row) => {
    const [, settings, kept] = row
    await using folder = await RunFolder.create()
    await using server = await RedisServer.start({ settings })
    await set(server, 'k', '1')
    await server.snapshotTo(folder.at('before.rdb'))
    await set(server, 'k', '2')
    await server.restoreFrom(folder.at('before.rdb'))
    expect(await get(server, 'k')).toBe('1')
    await server.restart()
    expect(await get(server, 'k')).toBe(kept)
  },
)

test('a paused server keeps its connections and answers when it goes on', async () => {
  await using server = await RedisServer.start()
  server.pause()
  await expect(withRedis(server, (redis) => redis.ping(), { commandTimeout: 200 })).rejects.toThrow('timed out')
  server.resume()
  expect(await withRedis(server, (redis) => redis.ping())).toBe('PONG')
})

test('a paused server can be stopped', async () => {
  await using server = await RedisServer.start()
  server.pause()
  await server.stop()
  expect(server.isRunning).toBe(false)
})

test('an eviction policy can be set', async () => {
  const options: RedisOptions = { settings: { maxmemory: '8mb', 'maxmemory-policy': 'allkeys-lru' } }
  await using server = await RedisServer.start(options)
  expect(await withRedis(server, (redis) => redis.config('GET', 'maxmemory-policy'))).toEqual([
    'maxmemory-policy',
    'allkeys-lru',
  ])
})

test('two servers never get the same port, started at once', async () => {
  const servers = await Promise.all([RedisServer.start(), RedisServer.start(), RedisServer.start()])
  await using stack = new AsyncDisposableStack()
  for (const server of servers) stack.use(server)
  expect(new Set(servers.map(({ port }) => port)).size).toBe(3)
})
