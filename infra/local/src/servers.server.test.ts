import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { localServers } from './given-servers.ts'
import { isOpen } from './ports.ts'
import type { PostgresServer } from './postgres.ts'
import { RunFolder } from './run-folder.ts'
import { startServers } from './servers.ts'

/** Kafka is the slow one, and no part of what these tests are about. */
const sharedKafka = () => ({ kafkaBrokers: localServers().kafkaBrokers })

function portsIn(urls: readonly string[]): number[] {
  return urls.map((url) => Number(new URL(url).port))
}

async function open(ports: readonly number[]): Promise<boolean[]> {
  return Promise.all(ports.map(isOpen))
}

test('servers are started, said to be, and stop without leftovers', async () => {
  await using root = await RunFolder.create()
  const said: string[] = []
  const onProgress = (message: string) => said.push(message)
  const given = { replicaUrls: {}, redisUrls: {}, ...sharedKafka() }
  const servers = await startServers({ given, dir: root.path, durable: false, onProgress })
  expect(Object.keys(servers.replicaUrls)).toEqual(['eu-west'])
  expect(Object.keys(servers.redisUrls)).toEqual(['us-east', 'eu-west'])
  expect(servers.started.kafka).toBeUndefined()
  expect(said).toEqual(expect.arrayContaining([expect.stringMatching(/^redis eu-west: starting on port \d+$/)]))
  const ports = portsIn([servers.primaryUrl, ...Object.values({ ...servers.replicaUrls, ...servers.redisUrls })])
  expect(await open(ports)).not.toContain(false)
  await servers.stop()
  expect(await open(ports)).not.toContain(true)
  expect(await readdir(join(root.path, 'run'))).toEqual([])
})

test('a server that is given is used, and left running', async () => {
  const shared = localServers()
  await using servers = await startServers({ given: shared })
  expect(servers.environment).toEqual(
    expect.objectContaining({
      TIDEMARK_PRIMARY_URL: shared.primaryUrl,
      TIDEMARK_REDIS_EU_WEST_URL: shared.redisUrls['eu-west'],
    }),
  )
  await servers.stop()
  expect(await open(portsIn(Object.values(shared.redisUrls)))).not.toContain(false)
})

test('a start that is interrupted stops what it had started', async () => {
  await using root = await RunFolder.create()
  const stop = new AbortController()
  const onProgress = (message: string) => {
    if (message.startsWith('postgres: copying the primary')) stop.abort()
  }
  const given = { replicaUrls: {}, redisUrls: {}, ...sharedKafka() }
  const start = startServers({ given, dir: root.path, durable: false, onProgress, signal: stop.signal })
  await expect(start).rejects.toMatchObject({ code: 'INTERRUPTED' })
  expect(await readdir(join(root.path, 'run'))).toEqual([])
})

test('two runs side by side do not disturb one another', async () => {
  const given = { replicaUrls: {}, redisUrls: localServers().redisUrls, ...sharedKafka() }
  const [one, other] = await Promise.all([startServers({ given }), startServers({ given })])
  await using runs = new AsyncDisposableStack()
  runs.use(one)
  runs.use(other)
  await one.stop()
  expect(await (other.started.primary as PostgresServer).query('select 1 as n')).toEqual([{ n: 1 }])
})
