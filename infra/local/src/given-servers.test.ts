import { expect, test } from '@jest/globals'
import { givenServers, localServers, type ServerUrls, serverEnvironment } from './given-servers.ts'

const all: ServerUrls = {
  primaryUrl: 'postgres://primary',
  replicaUrls: { 'eu-west': 'postgres://replica' },
  kafkaBrokers: 'kafka:9092',
  redisUrls: { 'us-east': 'redis://us', 'eu-west': 'redis://eu' },
}

test('the environment that names the servers is read back as it was written', () => {
  expect(givenServers(serverEnvironment(all))).toEqual(all)
  expect(localServers(serverEnvironment(all))).toEqual(all)
})

test('what is not in the environment is not given', () => {
  expect(givenServers({ TIDEMARK_REDIS_EU_WEST_URL: 'redis://eu', TIDEMARK_KAFKA_BROKERS: '' })).toEqual({
    replicaUrls: {},
    redisUrls: { 'eu-west': 'redis://eu' },
  })
})

test('a primary without its replica, or the other way round, is refused with the name of what is missing', () => {
  const halves: [NodeJS.ProcessEnv, string][] = [
    [{ TIDEMARK_PRIMARY_URL: 'postgres://primary' }, 'TIDEMARK_REPLICA_EU_WEST_URL is not'],
    [{ TIDEMARK_REPLICA_EU_WEST_URL: 'postgres://replica' }, 'TIDEMARK_PRIMARY_URL is not'],
  ]
  for (const [env, reason] of halves) expect(() => givenServers(env)).toThrow(reason)
})

test('a test that got no servers is told how to get them', () => {
  expect(() => localServers({})).toThrow('name its file *.server.test.ts')
})
