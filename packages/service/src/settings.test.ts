import { expect, test } from '@jest/globals'
import { isTidemarkError } from '@tidemark/protocol'
import { z } from 'zod'
import { misspeltSettings, readSettings, serverUrl, serviceSettings } from './settings.ts'
import { sampleEnvironment, settingsTable, withSettingsTable } from './settings-document.ts'

const schema = serviceSettings({
  TIDEMARK_PRIMARY_URL: serverUrl('postgres', 'postgresql').describe('The primary.'),
  TIDEMARK_SIGNING_KEY: z.string().min(32).describe('Signs session tokens.').meta({ secret: true }),
  TIDEMARK_BEAT_MS: z.coerce.number().int().min(1).max(60_000).default(100).describe('Between two beats.'),
  TIDEMARK_PUSH: z.stringbool().default(true).describe('Whether to tell in-process caches.'),
  TIDEMARK_RACK: z.string().optional().describe('Where it stands.'),
})

const WHOLE = { TIDEMARK_PRIMARY_URL: 'postgres://app:pw@db/shop', TIDEMARK_SIGNING_KEY: 'k'.repeat(32) }

function mistakesOf(env: Record<string, string>): string {
  try {
    readSettings(schema, env)
  } catch (error) {
    if (isTidemarkError(error, 'SETTINGS_INVALID')) return error.message
    throw error
  }
  throw new Error('there were no mistakes')
}

test('text becomes the type of its field, and what is not set its default', () => {
  expect(readSettings(schema, { ...WHOLE, TIDEMARK_BEAT_MS: '250', TIDEMARK_PUSH: 'false', PATH: '/bin' })).toEqual({
    ...WHOLE,
    TIDEMARK_BEAT_MS: 250,
    TIDEMARK_PUSH: false,
    TIDEMARK_LOG_LEVEL: 'info',
    TIDEMARK_DRAIN_TIMEOUT_MS: 20_000,
  })
})

test('an empty variable counts as unset: it is not the number zero', () => {
  expect(readSettings(schema, { ...WHOLE, TIDEMARK_BEAT_MS: '' }).TIDEMARK_BEAT_MS).toBe(100)
  expect(mistakesOf({ ...WHOLE, TIDEMARK_PRIMARY_URL: '' })).toContain('TIDEMARK_PRIMARY_URL is missing')
})

test('all mistakes are reported at once', () => {
  const message = mistakesOf({ TIDEMARK_BEAT_MS: 'soon', TIDEMARK_PUSH: 'perhaps', TIDEMARK_LOG_LEVEL: 'loud' })
  expect(message).toContain('5 mistake(s)')
  expect(message).toContain('TIDEMARK_PRIMARY_URL is missing')
  expect(message).toContain('TIDEMARK_SIGNING_KEY is missing')
  expect(message).toContain('TIDEMARK_BEAT_MS="soon": ')
  expect(message).toContain('TIDEMARK_PUSH="perhaps": ')
  expect(message).toContain('TIDEMARK_LOG_LEVEL="loud": ')
})

test('a secret is named, never shown', () => {
  const message = mistakesOf({ ...WHOLE, TIDEMARK_SIGNING_KEY: 'tooshort' })
  expect(message).toContain('TIDEMARK_SIGNING_KEY=(not shown): ')
  expect(message).not.toContain('tooshort')
})

test.each([
  'mysql://app:hunter2@db/shop',
  'app:hunter2@db',
  'postgres://app:hunter2@ db/shop',
  'jdbc:postgresql://db/shop?user=app&password=hunter2',
])('a malformed URL that may hold a password is not shown: %s', (url) => {
  const message = mistakesOf({ ...WHOLE, TIDEMARK_PRIMARY_URL: url })
  expect(message).toContain(
    'TIDEMARK_PRIMARY_URL=(not shown): must be a URL that starts with postgres:// or postgresql://',
  )
  expect(message).not.toContain('hunter2')
})

test('a variable that looks like a known one is pointed out; one of another service is not', () => {
  const env = { ...WHOLE, TIDEMARK_BEAT_SM: '5', TIDEMARK_KAFKA_BROKERS: 'x', TIDEMARKER: '1' }
  expect(misspeltSettings(schema, env)).toEqual([{ given: 'TIDEMARK_BEAT_SM', meant: 'TIDEMARK_BEAT_MS' }])
})

test('a missing variable is reported with the misspelt one that was set instead', () => {
  const message = mistakesOf({ ...WHOLE, TIDEMARK_PRIMARY_URL: '', TIDEMARK_PRIMARY_ULR: 'postgres://db' })
  expect(message).toContain('TIDEMARK_PRIMARY_URL is missing; TIDEMARK_PRIMARY_ULR is set, was that meant?')
})

/** The cells of each line, whatever the columns' widths. */
function cellsOf(table: string): string[][] {
  return table.split('\n').map((line) => line.split('|').flatMap((cell) => cell.trim() || []))
}

test('the table says type, limits, default, secrecy and meaning of each variable', () => {
  const rows = cellsOf(settingsTable(schema))
  expect(rows).toContainEqual(['`TIDEMARK_PRIMARY_URL`', 'URL', 'must be given', 'The primary.'])
  const secret = 'Signs session tokens. Secret: never printed.'
  expect(rows).toContainEqual(['`TIDEMARK_SIGNING_KEY`', 'string', 'must be given', secret])
  expect(rows).toContainEqual(['`TIDEMARK_BEAT_MS`', 'integer >= 1 <= 60000', '`100`', 'Between two beats.'])
  expect(rows).toContainEqual(['`TIDEMARK_PUSH`', 'boolean', '`true`', 'Whether to tell in-process caches.'])
  expect(rows).toContainEqual(['`TIDEMARK_RACK`', 'string', 'none', 'Where it stands.'])
  expect(rows).toHaveLength(2 + Object.keys(schema.shape).length)
})

test('the columns of the table are aligned, as the formatter leaves them', () => {
  const one = settingsTable(z.object({ A: z.string().describe('B.') }))
  expect(one.split('\n')).toEqual([
    '| variable | type   | default       | meaning |',
    '| -------- | ------ | ------------- | ------- |',
    '| `A`      | string | must be given | B.      |',
  ])
})

test('a default never shows a secret or the password of a URL', () => {
  const table = settingsTable(
    serviceSettings({
      TIDEMARK_A: z.string().meta({ secret: true }).default('hunter2').describe('A.'),
      TIDEMARK_B: serverUrl('redis').default('redis://:hunter2@127.0.0.1/').describe('B.'),
    }),
  )
  expect(table).toContain('`redis://:***@127.0.0.1/`')
  expect(table).not.toContain('hunter2')
})

test('the sample file leaves open what must be given and comments out what has a default', () => {
  const lines = sampleEnvironment(schema).split('\n')
  expect(lines).toContain('TIDEMARK_PRIMARY_URL=')
  expect(lines).toContain('# TIDEMARK_BEAT_MS=100')
  expect(lines).toContain('# TIDEMARK_RACK=')
})

test('a README whose table is not the schema’s differs from what it should be, and nothing but the table', () => {
  const open = '<!-- settings: generated from the schema, held equal by a test -->'
  const written = withSettingsTable(`# A\n\n${open}\n<!-- /settings -->\n\nafter\n`, schema)
  expect(written).toBe(`# A\n\n${open}\n\n${settingsTable(schema)}\n\n<!-- /settings -->\n\nafter\n`)
  expect(withSettingsTable(written, schema)).toBe(written)
  const old = written.replace('`100`', '`50`')
  expect(withSettingsTable(old, schema)).not.toBe(old)
  expect(() => withSettingsTable('# A', schema)).toThrow(RangeError)
})
