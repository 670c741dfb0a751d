import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { RunFolder } from '@tidemark/local'
import { redisAt } from '@tidemark/redis'
import { withSettingsTable } from '@tidemark/service'
import { cliSettings, readServers, settingsSlips } from './settings.ts'

const GIVEN = { TIDEMARK_PRIMARY_URL: 'postgres://u:hidden@h/d', TIDEMARK_KAFKA_BROKERS: 'a:9092' }

test('the variables that `npm run servers` prints name the regions', () => {
  const { regions, replicas } = readServers({
    ...GIVEN,
    TIDEMARK_REDIS_US_EAST_URL: 'redis://1',
    TIDEMARK_REDIS_EU_WEST_URL: 'redis://2',
    TIDEMARK_REPLICA_EU_WEST_URL: 'postgres://3',
  })
  expect(regions).toEqual([
    { name: 'us-east', redis: redisAt('redis://1') },
    { name: 'eu-west', redis: redisAt('redis://2') },
  ])
  expect(replicas).toEqual([{ name: 'eu-west', url: 'postgres://3' }])
})

test('the variables of a worker and of an app name one region', () => {
  const { regions, replicas } = readServers({
    ...GIVEN,
    TIDEMARK_REGION: 'eu-west',
    TIDEMARK_REDIS_URL: 'redis://1',
    TIDEMARK_REPLICA_URLS: 'postgres://2,postgres://3',
  })
  expect(regions).toEqual([{ name: 'eu-west', redis: redisAt('redis://1') }])
  expect(replicas.map(({ name }) => name)).toEqual(['1', '2'])
})

test('the bounds of tombstones are those of the workers’ variables', () => {
  const { tombstones } = readServers({ ...GIVEN, TIDEMARK_MAX_TOMBSTONES: '5000', TIDEMARK_TOMBSTONE_MS: '60000' })
  expect(tombstones).toEqual({ maxTombstones: 5_000, tombstoneMs: 60_000 })
})

test('mistakes are told all at once, those of a region’s variable too, and no URL is printed', () => {
  const read = () =>
    readServers({
      TIDEMARK_PRIMARY_URL: 'mysql://u:hidden@h/d',
      TIDEMARK_KAFKA_BROKERS: 'a',
      TIDEMARK_REDIS_EU_WEST_URL: 'http://u:hidden@h',
    })
  expect(read).toThrow(/3 mistake.*TIDEMARK_REDIS_EU_WEST_URL/s)
  expect(read).not.toThrow(/hidden/)
})

test('the password of a file is for every region whose URL holds none', async () => {
  await using folder = await RunFolder.create()
  await writeFile(folder.at('password'), 'from the file\n')
  const { regions } = readServers({
    ...GIVEN,
    TIDEMARK_REDIS_US_EAST_URL: 'redis-cluster://a,b',
    TIDEMARK_REDIS_EU_WEST_URL: 'redis://:own@c',
    TIDEMARK_REDIS_PASSWORD_FILE: folder.at('password'),
  })
  expect(regions.map(({ redis }) => redis.endpoint.password)).toEqual(['from the file', 'own'])
})

test('a variable that looks like a slip is told, and one that names a region is not', () => {
  const env = { ...GIVEN, TIDEMARK_KAFKA_TLSS: 'true', TIDEMARK_REDIS_EU_URL: 'redis://u:hidden@h' }
  expect(settingsSlips(env)).toEqual(['TIDEMARK_KAFKA_TLSS is set and not known: was TIDEMARK_KAFKA_TLS meant?'])
})

test('the README holds the table of settings', () => {
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')
  expect(readme).toBe(withSettingsTable(readme, cliSettings))
})
