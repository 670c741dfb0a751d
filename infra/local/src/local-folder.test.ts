import { chmod, mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { canEnter, postgresAccount } from './account.ts'
import { localFolder } from './local-folder.ts'
import { PostgresData } from './postgres-data.ts'
import { RunFolder } from './run-folder.ts'

const account = postgresAccount()
const isRoot = account !== undefined

let folder: RunFolder
let closed: string

beforeEach(async () => {
  folder = await RunFolder.create()
  closed = folder.at('closed')
  await mkdir(closed)
  await chmod(closed, 0o700)
})

afterEach(async () => {
  await folder.remove()
})

test('data live in the project, and elsewhere if Postgres could not reach them there', async () => {
  expect(await localFolder(folder.path)).toBe(folder.at('.local'))
  const inProject = join(closed, '.local')
  const found = await localFolder(closed)
  expect(canEnter(account, found)).toBe(true)
  if (!isRoot) return expect(found).toBe(inProject)
  expect(found.startsWith(join(tmpdir(), 'tidemark-'))).toBe(true)
  expect(await localFolder(closed)).toBe(found)
  await rm(found, { recursive: true })
})

test('a folder of that name that others may write to is not taken', async () => {
  if (!isRoot) return expect(await localFolder(closed)).toBe(join(closed, '.local'))
  const found = await localFolder(closed)
  await chmod(found, 0o777)
  await expect(localFolder(closed)).rejects.toMatchObject({ code: 'FOLDER_CLOSED' })
  await rm(found, { recursive: true })
})

test('a data folder that the account of Postgres can not enter is refused by name', async () => {
  const data = new PostgresData(join(closed, 'data'), account)
  if (!isRoot) return expect(await data.create()).toBeUndefined()
  await expect(data.create()).rejects.toMatchObject({
    code: 'FOLDER_CLOSED',
    message: expect.stringContaining(data.path),
  })
})
