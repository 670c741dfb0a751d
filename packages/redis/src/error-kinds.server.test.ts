import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { RedisServer, waitUntil } from '@tidemark/local'
import { Redis } from 'ioredis'
import type { RedisError } from './redis-error.ts'
import { RegionRedis } from './region-redis.ts'
import { redisAt } from './settings.ts'
import { COMMAND_TIMEOUT_MS, failureOf } from './testing/failure.ts'

const IN_TIME = { timeoutMs: 20_000 }
const WRITE = "return redis.call('SET', KEYS[1], ARGV[1])"

let server: RedisServer
let operator: Redis
const clients: RegionRedis[] = []

beforeAll(async () => {
  server = await RedisServer.start({
    settings: { save: '3600 1', rdbcompression: 'no', 'lua-time-limit': 50, 'key-load-delay': 10_000 },
  })
  operator = new Redis(server.url, { maxRetriesPerRequest: null })
  operator.on('error', () => undefined)
})

afterAll(async () => {
  operator.disconnect()
  await server[Symbol.asyncDispose]()
})

afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await operator.flushall()
})

function regionRedis(url = server.url, once = false): RegionRedis {
  const redis = new RegionRedis(redisAt(url), { clientName: 'test', commandTimeoutMs: COMMAND_TIMEOUT_MS, once })
  clients.push(redis)
  return redis
}

async function connected(): Promise<RegionRedis> {
  const redis = regionRedis()
  await waitUntil('it is connected', () => answers(redis), IN_TIME)
  return redis
}

async function answers(asked: RegionRedis): Promise<boolean> {
  await asked.ping()
  return true
}

/** By a script, as all that Tidemark writes is. */
function write(asked: RegionRedis): Promise<unknown> {
  return asked.eval(WRITE, 1, 'k', 'hunter2')
}

interface Condition {
  readonly kind: string
  readonly code: string
  readonly begin: () => Promise<unknown>
  readonly end: () => Promise<unknown>
}

/** What an operator, or time, does to a server, and undoes. */
const CONDITIONS: readonly (readonly [string, Condition])[] = [
  [
    'a replica',
    {
      ...{ kind: 'not-master', code: 'REDIS_NOT_MASTER' },
      begin: () => operator.replicaof('127.0.0.1', 1),
      end: () => operator.replicaof('NO', 'ONE'),
    },
  ],
  [
    'a replica that is cut off and may not answer',
    {
      ...{ kind: 'not-master', code: 'REDIS_NOT_MASTER' },
      begin: async () => {
        await operator.config('SET', 'replica-serve-stale-data', 'no')
        await operator.replicaof('127.0.0.1', 1)
      },
      end: () => operator.replicaof('NO', 'ONE'),
    },
  ],
  [
    'full',
    {
      ...{ kind: 'full', code: 'REDIS_FULL' },
      begin: () => operator.config('SET', 'maxmemory', 1),
      end: () => operator.config('SET', 'maxmemory', 0),
    },
  ],
  [
    'without the replicas that it wants',
    {
      ...{ kind: 'few-replicas', code: 'REDIS_WRITES_REFUSED' },
      begin: () => operator.config('SET', 'min-replicas-to-write', 1),
      end: () => operator.config('SET', 'min-replicas-to-write', 0),
    },
  ],
  [
    'with a script that does not end',
    {
      ...{ kind: 'busy', code: 'REDIS_BUSY' },
      begin: async () => {
        const endless = new Redis(server.url)
        endless.eval('while true do end', 0).catch(() => endless.disconnect())
        const isBusy = () =>
          operator.ping().then(
            () => false,
            () => true,
          )
        await waitUntil('it is busy', isBusy, IN_TIME)
      },
      end: () => operator.script('KILL'),
    },
  ],
  [
    'frozen',
    {
      ...{ kind: 'timeout', code: 'DEADLINE_EXCEEDED' },
      begin: async () => server.pause(),
      end: async () => server.resume(),
    },
  ],
]

test.each(CONDITIONS)(
  'a server that is %s is told by its kind, in time, and used again after it',
  async (_, condition) => {
    const redis = await connected()
    await condition.begin()
    expect(await failureOf(write(redis))).toMatchObject({ kind: condition.kind, code: condition.code, retriable: true })
    await condition.end()
    await waitUntil('it is written to again', () => write(redis).then(() => true), IN_TIME)
  },
)

test('a server that has become a replica is left for a new connection, which may lead elsewhere', async () => {
  const redis = await connected()
  const connection = () => redis.ask((client) => client.client('ID'))
  const before = await connection()
  await operator.replicaof('127.0.0.1', 1)
  expect(await failureOf(write(redis))).toMatchObject({ kind: 'not-master' })
  await waitUntil('it is another connection', async () => (await connection()) !== before, IN_TIME)
  await operator.replicaof('NO', 'ONE')
})

test('a server that loads its data is told to be loading, and used once it has', async () => {
  const redis = await connected()
  // It answers every two megabytes, between keys that take ten milliseconds each.
  await operator.mset(Object.fromEntries(Array.from({ length: 120 }, (_, n) => [`key:${n}`, 'x'.repeat(100_000)])))
  await server.stop()
  const started = server.start()
  await waitUntil('it loads', async () => (await failureOf(write(redis))).kind === 'loading', {
    ...IN_TIME,
    everyMs: 10,
  })
  await started
  await waitUntil('it is written to again', () => write(redis).then(() => true), IN_TIME)
})

test('a server that cannot save is told by its kind', async () => {
  const redis = await connected()
  await operator.set('k', 'v')
  await rm(join(server.dir, 'data'), { recursive: true })
  await operator.bgsave()
  const hasFailed = async () => (await operator.info('persistence')).includes('rdb_last_bgsave_status:err')
  await waitUntil('a snapshot failed', hasFailed, IN_TIME)
  expect(await failureOf(write(redis))).toMatchObject({ kind: 'unsaved', code: 'REDIS_WRITES_REFUSED' })
  await operator.config('SET', 'save', '')
  await operator.config('SET', 'stop-writes-on-bgsave-error', 'no')
  await write(redis)
})

test('NOSCRIPT comes as Redis says it, for the guard to answer', async () => {
  const redis = await connected()
  await operator.script('FLUSH')
  await expect(redis.evalsha('f'.repeat(40), 0)).rejects.toThrow(/^NOSCRIPT/)
})

test('an account that may not is refused, inside a script as well', async () => {
  await operator.acl('SETUSER', 'worker', 'on', '>hunter2', '~k', '+@all', '-set')
  const redis = regionRedis(server.url.replace('//', '//worker:hunter2@'), true)
  expect(await failureOf(write(redis))).toMatchObject({ kind: 'refused', code: 'SERVER_REFUSED', retriable: false })
  expect(await failureOf(redis.ask((client) => client.set('k', 'v')))).toMatchObject({ kind: 'refused' })
  expect(await failureOf(redis.mgetBuffer('another'))).toMatchObject({ kind: 'refused' })
})

test('a wrong password is refused, and told neither in message nor cause', async () => {
  const redis = regionRedis(server.url.replace('//', '//worker:hunter3@'))
  let failure: RedisError | undefined
  const isRefused = async () => {
    failure = await failureOf(redis.ping())
    return failure.kind === 'refused'
  }
  await waitUntil('it is refused', isRefused, IN_TIME)
  expect(JSON.stringify({ ...failure, message: failure?.message, cause: failure?.cause })).not.toContain('hunter3')
})

test('while nobody listens every command fails at once, and says why', async () => {
  const redis = await connected()
  await server.kill()
  const isTold = async () => (await failureOf(redis.ping())).message.includes('ECONNREFUSED')
  await waitUntil('it is told', isTold, IN_TIME)
  expect(await failureOf(write(redis))).toMatchObject({ kind: 'disconnected', code: 'SERVER_UNREACHABLE' })
  await server.start()
  await waitUntil('it is written to again', () => write(redis).then(() => true), IN_TIME)
})

test('a server named as a cluster is told to be none', async () => {
  const redis = regionRedis(server.url.replace('redis:', 'redis-cluster:'), true)
  expect(await failureOf(redis.ping())).toMatchObject({ kind: 'is-no-cluster', code: 'SERVER_REFUSED' })
})
