import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { readSettings, withSettingsTable } from '@tidemark/service'
import { settings } from './settings.ts'

const GIVEN = { TIDEMARK_PRIMARY_URL: 'postgres://u:hidden@h/d', TIDEMARK_KAFKA_BROKERS: 'a:9092, b:9092' }

test('brokers are a list, and what is not given has its default', () => {
  expect(readSettings(settings, GIVEN)).toMatchObject({
    TIDEMARK_KAFKA_BROKERS: ['a:9092', 'b:9092'],
    TIDEMARK_BEAT_MS: 200,
  })
})

test('mistakes are told all at once, and no URL is printed', () => {
  const read = () =>
    readSettings(settings, {
      TIDEMARK_PRIMARY_URL: 'mysql://u:hidden@h/d',
      TIDEMARK_KAFKA_BROKERS: 'a',
      TIDEMARK_BEAT_MS: '0',
    })
  expect(read).toThrow(/3 mistake/)
  expect(read).not.toThrow(/hidden/)
})

test('the README holds the table of settings', () => {
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')
  expect(readme).toBe(withSettingsTable(readme, settings))
})
