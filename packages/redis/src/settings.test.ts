import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Certificate, CertificateAuthority, RunFolder } from '@tidemark/local'
import { isTidemarkError } from '@tidemark/protocol'
import { type Environment, readSettings, settingsTable } from '@tidemark/service'
import { z } from 'zod'
import { redisConnection, redisSettings } from './settings.ts'

const schema = z.object(redisSettings)

let folder: RunFolder
let caFile: string
let client: Certificate

beforeAll(async () => {
  folder = await RunFolder.create()
  const authority = await CertificateAuthority.create(folder.path)
  caFile = authority.certFile
  client = await authority.client('client')
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

function connectionOf(url: string, env: Environment = {}) {
  return redisConnection(readSettings(schema, { TIDEMARK_REDIS_URL: url, ...env }))
}

function mistakesOf(url: string, env: Environment = {}): string {
  try {
    connectionOf(url, env)
  } catch (error) {
    if (isTidemarkError(error, 'SETTINGS_INVALID')) return error.message
    throw error
  }
  throw new Error('there were no mistakes')
}

async function fileWith(name: string, text: string): Promise<string> {
  await writeFile(folder.at(name), text)
  return folder.at(name)
}

test('a URL alone is enough', () => {
  expect(connectionOf('redis://cache')).toMatchObject({ endpoint: { kind: 'server' } })
})

test('the files of mutual TLS are read', () => {
  const { tls } = connectionOf('rediss-cluster://a,b', {
    TIDEMARK_REDIS_TLS_CA_FILE: caFile,
    TIDEMARK_REDIS_TLS_CERT_FILE: client.certFile,
    TIDEMARK_REDIS_TLS_KEY_FILE: client.keyFile,
  })
  expect(tls?.ca).toContain('BEGIN CERTIFICATE')
  expect(tls?.key).toContain('PRIVATE KEY')
})

test('passwords come from files without the end of their lines, that of the Sentinels is another', async () => {
  const { endpoint, sentinelPassword } = connectionOf('redis-sentinel://worker@a/0#mymaster', {
    TIDEMARK_REDIS_PASSWORD_FILE: await fileWith('password', 'pass word\n'),
    TIDEMARK_REDIS_SENTINEL_PASSWORD_FILE: await fileWith('sentinel', 'other\n'),
  })
  expect([endpoint.username, endpoint.password, sentinelPassword]).toEqual(['worker', 'pass word', 'other'])
})

test('what is wrong with a URL is told with its variable, without the URL', () => {
  const message = mistakesOf('redis-cluster://u:hidden@a/1')
  expect(message).toContain('TIDEMARK_REDIS_URL=(not shown): names a database: a cluster has none but 0')
  expect(message).not.toContain('hidden')
})

test('all that is wrong with the files is told at once, and neither password nor path is', async () => {
  const message = mistakesOf('rediss://:hunter1@a', {
    TIDEMARK_REDIS_TLS_CA_FILE: await fileWith('empty.pem', ''),
    TIDEMARK_REDIS_TLS_CERT_FILE: client.certFile,
    TIDEMARK_REDIS_PASSWORD_FILE: '/hunter2',
    TIDEMARK_REDIS_SENTINEL_PASSWORD: 'hunter3',
  })
  expect(message.split('\n  ').slice(1)).toEqual([
    'TIDEMARK_REDIS_TLS_CERT_FILE and TIDEMARK_REDIS_TLS_KEY_FILE: give both or none',
    'TIDEMARK_REDIS_TLS_CA_FILE: holds no certificate in PEM',
    'TIDEMARK_REDIS_PASSWORD_FILE: the URL of Redis holds a password, too',
    'TIDEMARK_REDIS_PASSWORD_FILE: the file that it names cannot be read (ENOENT)',
    expect.stringContaining('TIDEMARK_REDIS_SENTINEL_PASSWORD: nothing without'),
  ])
})

test('files without TLS, and a user without a password, are mistakes: they would be taken for protection', () => {
  const message = mistakesOf('redis://worker@a', { TIDEMARK_REDIS_TLS_CA_FILE: caFile })
  expect(message).toContain('nothing without a URL that starts with rediss')
  expect(message).toContain('a user without a password')
})

test('URL and password are told to be secret, and no setting switches verification off', () => {
  const table = settingsTable(schema)
  expect(table).toMatch(/`TIDEMARK_REDIS_URL` .* URL .*Secret: never printed/)
  expect(table).toMatch(/`TIDEMARK_REDIS_SENTINEL_PASSWORD` .*Secret: never printed/)
  expect(Object.keys(schema.shape).join(' ')).not.toMatch(/INSECURE|VERIFY|UNAUTHORIZED/)
})
