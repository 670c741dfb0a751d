import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { readSettings, withSettingsTable } from '@tidemark/service'
import { workerSettings } from './settings.ts'

const given = {
  TIDEMARK_REGION: 'eu-west',
  TIDEMARK_REDIS_URL: 'redis://127.0.0.1:6379',
  TIDEMARK_KAFKA_BROKERS: 'a:9092, b:9092',
}

test('brokers are a list', () => {
  expect(readSettings(workerSettings, given).TIDEMARK_KAFKA_BROKERS).toEqual(['a:9092', 'b:9092'])
})

test('mistakes are told all at once, and no URL is printed', () => {
  const read = () =>
    readSettings(workerSettings, {
      ...given,
      TIDEMARK_REGION: 'EU',
      TIDEMARK_REDIS_URL: 'http://u:hidden@h',
      TIDEMARK_KAFKA_BROKERS: 'a',
    })
  expect(read).toThrow(/3 mistake/)
  expect(read).not.toThrow(/hidden/)
})

test('the README holds the table of settings', () => {
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')
  expect(readme).toBe(withSettingsTable(readme, workerSettings))
})
