import { readFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { readSettings, withSettingsTable } from '@tidemark/service'
import { storefrontSettings } from './settings.ts'

const LEAST = {
  TIDEMARK_REGION: 'eu-west',
  TIDEMARK_PRIMARY_URL: 'postgres://app@db/shop',
  TIDEMARK_REDIS_URL: 'redis://cache:6379',
  TIDEMARK_SESSION_SECRET: 's'.repeat(32),
}

test('the README holds the table of settings', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  expect(readme).toBe(withSettingsTable(readme, storefrontSettings))
})

test('replicas are a list, in their order; without one there is only the primary', () => {
  expect(readSettings(storefrontSettings, LEAST).TIDEMARK_REPLICA_URLS).toBeUndefined()
  const urls = ['postgres://app@r1/shop', 'postgresql://app@r2/shop']
  const given = { ...LEAST, TIDEMARK_REPLICA_URLS: urls.join(',') }
  expect(readSettings(storefrontSettings, given).TIDEMARK_REPLICA_URLS).toEqual(urls)
})

test('a mistaken secret or replica is told without being shown', () => {
  const given = { ...LEAST, TIDEMARK_SESSION_SECRET: 'hunter2', TIDEMARK_REPLICA_URLS: 'app:hunter3@r1/shop' }
  expect(() => readSettings(storefrontSettings, given)).toThrow(/TIDEMARK_REPLICA_URLS=\(not shown\)/)
  expect(() => readSettings(storefrontSettings, given)).not.toThrow(/hunter/)
})
