import { writeFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { RunFolder } from '@tidemark/local'
import { type Environment, readSettings, settingsTable } from '@tidemark/service'
import { z } from 'zod'
import { primarySettings, primaryUrl } from './settings.ts'

const schema = z.object(primarySettings)
const URL_WITHOUT = 'postgres://publisher@db.example/shop'

function urlOf(env: Environment): string {
  return primaryUrl(readSettings(schema, { TIDEMARK_PRIMARY_URL: URL_WITHOUT, ...env }))
}

test.each([
  '',
  '?sslmode=disable',
  '?sslmode=require',
  '?sslmode=verify-ca&sslrootcert=/ca.pem',
  '?sslmode=verify-full',
  '?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/c.key&application_name=x',
])('what libpq means is taken: %s', (parameters) => {
  expect(urlOf({ TIDEMARK_PRIMARY_URL: URL_WITHOUT + parameters })).toBe(URL_WITHOUT + parameters)
})

test.each([
  ['sslmode=prefer', 'say one of disable, require, verify-ca, verify-full'],
  ['sslmode=allow', 'say one of'],
  ['sslmode=no-verify', 'say one of'],
  ['sslmode=verify_full', 'say one of'],
  ['sslmode=verify-ca', 'needs sslrootcert'],
  ['sslmode=verify-full&sslrootcert=system', 'leave it out'],
  ['sslmode=verify-full&sslcert=/c.pem', 'give both or none'],
  ['sslmode=require&channel_binding=require', 'not supported'],
  ['sslmode=verify-full&sslcrl=/crl.pem', 'not supported'],
  ['sslmode=verify-full&ssl_min_protocol_version=TLSv1.3', 'not supported'],
  ['ssl=true', 'say sslmode alone'],
  ['ssl=no-verify', 'say sslmode alone'],
])('what would be weaker than it says is a mistake, and the URL is not shown: %s', (parameters, message) => {
  const read = () => urlOf({ TIDEMARK_PRIMARY_URL: `postgres://u:hunter2@h/d?${parameters}` })
  expect(read).toThrow(message)
  expect(read).not.toThrow(/hunter2/)
})

test('mistakes in the URL are told all at once', () => {
  const read = () => urlOf({ TIDEMARK_PRIMARY_URL: `${URL_WITHOUT}?sslmode=prefer&sslkey=/c.key&sslcrl=/crl.pem` })
  expect(read).toThrow(/3 mistake/)
})

test('a password comes from a file, whatever characters it holds', async () => {
  await using folder = await RunFolder.create()
  const file = folder.at('password')
  const password = 'p/w%41:@?# ü'
  await writeFile(file, `${password}\n`)
  const url = urlOf({ TIDEMARK_PRIMARY_PASSWORD_FILE: file })
  expect(decodeURIComponent(new URL(url).password)).toBe(password)
  expect(new URL(url).host).toBe('db.example')
  const twice = { TIDEMARK_PRIMARY_URL: 'postgres://u:hunter2@h/d', TIDEMARK_PRIMARY_PASSWORD_FILE: file }
  expect(() => urlOf(twice)).toThrow('holds a password, too')
  expect(() => urlOf({ TIDEMARK_PRIMARY_PASSWORD_FILE: folder.at('none') })).toThrow('ENOENT')
})

test('the URL is told to be secret', () => {
  expect(settingsTable(schema)).toMatch(/`TIDEMARK_PRIMARY_URL` .*Secret: never printed/)
})
