import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from '@jest/globals'
import { localServers, serverEnvironment } from './given-servers.ts'
import { localFolder } from './local-folder.ts'

function startMain(env: NodeJS.ProcessEnv) {
  const options = { env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env } }
  const main = spawn(
    process.execPath,
    ['--disable-warning=TimeoutNegativeWarning', join(import.meta.dirname, 'main.ts')],
    options,
  )
  return { main, stdout: text(main.stdout), stderr: text(main.stderr), ended: once(main, 'exit') }
}

async function foldersOf(main: ChildProcess): Promise<string[]> {
  const runs = await readdir(join(await localFolder(), 'run'))
  return runs.filter((name) => name.startsWith(`${main.pid}.`))
}

test('the environment is printed, and a signal ends it in good order', async () => {
  const shared = serverEnvironment(localServers())
  const { main, stdout, stderr, ended } = startMain(shared)
  await once(main.stdout, 'data')
  main.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
  const exported = Object.entries(shared).map(([name, value]) => `export ${name}='${value}'`)
  expect((await stdout).trim().split('\n').sort()).toEqual(exported.sort())
  expect(await stderr).toContain('servers: stopping')
  expect(await foldersOf(main)).toEqual([])
})

test('when one server can not be started the others are stopped, and one sentence says why', async () => {
  const { main, stderr, ended } = startMain({ JAVA_HOME: '/nowhere' })
  expect(await ended).toEqual([1, null])
  expect((await stderr).trim().split('\n').at(-1)).toMatch(/^Kafka needs Java 17 or later, and none was found: install/)
  expect(await foldersOf(main)).toEqual([])
})
