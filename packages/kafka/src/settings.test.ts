import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Certificate, CertificateAuthority, RunFolder } from '@tidemark/local'
import { isTidemarkError } from '@tidemark/protocol'
import { type Environment, readSettings, settingsTable } from '@tidemark/service'
import { z } from 'zod'
import { kafkaConnection, kafkaSettings } from './settings.ts'

const schema = z.object(kafkaSettings)
const BROKERS = { TIDEMARK_KAFKA_BROKERS: 'a:9092' }
const LOGIN = {
  TIDEMARK_KAFKA_TLS: 'true',
  TIDEMARK_KAFKA_SASL_MECHANISM: 'scram-sha-512',
  TIDEMARK_KAFKA_SASL_USERNAME: 'publisher',
}

let folder: RunFolder
let caFile: string
let client: Certificate
let other: Certificate

beforeAll(async () => {
  folder = await RunFolder.create()
  const authority = await CertificateAuthority.create(folder.path)
  caFile = authority.certFile
  client = await authority.client('client')
  other = await authority.client('other')
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

function connectionOf(env: Environment) {
  return kafkaConnection(readSettings(schema, { ...BROKERS, ...env }))
}

function mistakesOf(env: Environment): string {
  try {
    connectionOf(env)
  } catch (error) {
    if (isTidemarkError(error, 'SETTINGS_INVALID')) return error.message
    throw error
  }
  throw new Error('there were no mistakes')
}

/** A file of the test's own that holds `text`. */
async function fileWith(name: string, text: string): Promise<string> {
  await writeFile(folder.at(name), text)
  return folder.at(name)
}

test('brokers alone are asked in plain text, and nobody logs in', () => {
  expect(connectionOf({ TIDEMARK_KAFKA_BROKERS: 'a:9092, b:9092' })).toEqual({ brokers: ['a:9092', 'b:9092'] })
})

test('the files of mutual TLS are read', () => {
  const { tls } = connectionOf({
    TIDEMARK_KAFKA_TLS: 'true',
    TIDEMARK_KAFKA_TLS_CA_FILE: caFile,
    TIDEMARK_KAFKA_TLS_CERT_FILE: client.certFile,
    TIDEMARK_KAFKA_TLS_KEY_FILE: client.keyFile,
  })
  expect(tls?.ca).toContain('BEGIN CERTIFICATE')
  expect(tls?.cert).toContain('BEGIN CERTIFICATE')
  expect(tls?.key).toContain('PRIVATE KEY')
})

test('a password comes from the environment, or from a file without the end of its line', async () => {
  const password = ' pass word'
  const fromFile = { TIDEMARK_KAFKA_SASL_PASSWORD_FILE: await fileWith('password', `${password}\n`) }
  const sasl = { mechanism: 'scram-sha-512', username: 'publisher', password }
  expect(connectionOf({ ...LOGIN, TIDEMARK_KAFKA_SASL_PASSWORD: password }).sasl).toEqual(sasl)
  expect(connectionOf({ ...LOGIN, ...fromFile }).sasl).toEqual(sasl)
})

test('SCRAM needs no TLS, as it does not send the password; PLAIN does', () => {
  const open = { ...LOGIN, TIDEMARK_KAFKA_TLS: 'false', TIDEMARK_KAFKA_SASL_PASSWORD: 'x' }
  expect(connectionOf(open).sasl?.mechanism).toBe('scram-sha-512')
  expect(mistakesOf({ ...open, TIDEMARK_KAFKA_SASL_MECHANISM: 'plain' })).toContain('in the clear')
})

test('all mistakes are told at once, and neither password nor path is', async () => {
  const message = mistakesOf({
    TIDEMARK_KAFKA_TLS: 'true',
    TIDEMARK_KAFKA_TLS_CA_FILE: await fileWith('empty.pem', ''),
    TIDEMARK_KAFKA_TLS_CERT_FILE: client.certFile,
    TIDEMARK_KAFKA_SASL_MECHANISM: 'plain',
    TIDEMARK_KAFKA_SASL_PASSWORD: 'hunter2',
    TIDEMARK_KAFKA_SASL_PASSWORD_FILE: '/hunter3',
  })
  expect(message.split('\n  ')).toEqual([
    'SETTINGS_INVALID: 5 mistake(s) in the environment:',
    'TIDEMARK_KAFKA_TLS_CERT_FILE and TIDEMARK_KAFKA_TLS_KEY_FILE: give both or none',
    'TIDEMARK_KAFKA_TLS_CA_FILE: holds no certificate in PEM',
    'TIDEMARK_KAFKA_SASL_USERNAME is missing',
    'TIDEMARK_KAFKA_SASL_PASSWORD and TIDEMARK_KAFKA_SASL_PASSWORD_FILE: give one of them',
    'TIDEMARK_KAFKA_SASL_PASSWORD_FILE: the file that it names cannot be read (ENOENT)',
  ])
})

test.each([
  ['a key that is another certificate’s', () => other.keyFile],
  ['a key that is none', () => caFile],
])('a client certificate is refused with %s', (_, keyFile) => {
  const files = { TIDEMARK_KAFKA_TLS_CERT_FILE: client.certFile, TIDEMARK_KAFKA_TLS_KEY_FILE: keyFile() }
  expect(mistakesOf({ TIDEMARK_KAFKA_TLS: 'true', ...files })).toContain('not a certificate and its key')
})

test('files without TLS, and a login without a mechanism, are mistakes: they would be taken for protection', () => {
  const message = mistakesOf({ TIDEMARK_KAFKA_TLS_CA_FILE: caFile, TIDEMARK_KAFKA_SASL_USERNAME: 'publisher' })
  expect(message).toContain('TIDEMARK_KAFKA_TLS=true')
  expect(message).toContain('TIDEMARK_KAFKA_SASL_MECHANISM is missing')
})

test('a login without a password is a mistake, an empty file too', async () => {
  expect(mistakesOf(LOGIN)).toContain('TIDEMARK_KAFKA_SASL_PASSWORD is missing')
  const path = await fileWith('nothing', '\n')
  expect(mistakesOf({ ...LOGIN, TIDEMARK_KAFKA_SASL_PASSWORD_FILE: path })).toContain('is empty')
})

test('the password is told to be secret, and no setting switches verification off', () => {
  const table = settingsTable(schema)
  expect(table).toMatch(/`TIDEMARK_KAFKA_SASL_PASSWORD` .*Secret: never printed/)
  expect(Object.keys(schema.shape).join(' ')).not.toMatch(/INSECURE|VERIFY|UNAUTHORIZED/)
})
