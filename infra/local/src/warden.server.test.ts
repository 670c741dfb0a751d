import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { expect, test } from '@jest/globals'
import { isOpen } from './ports.ts'
import { waitUntil } from './wait.ts'

/** A process that starts a server, says where, and then lives on. */
const OWNER = `
  import { RedisServer } from '${import.meta.dirname}/redis.ts'
  const server = await RedisServer.start()
  if (process.argv.includes('paused')) server.pause()
  console.log(JSON.stringify({ port: server.port, dir: server.dir }))
  setInterval(() => {}, 1000)
`

interface Owned {
  readonly port: number
  readonly dir: string
}

async function startOwner(...args: string[]): Promise<{ owned: Owned; kill: () => void }> {
  const owner = spawn(process.execPath, ['--input-type=module', '-e', OWNER, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  for await (const line of createInterface({ input: owner.stdout })) {
    return { owned: JSON.parse(line) as Owned, kill: () => owner.kill('SIGKILL') }
  }
  throw new Error('the owner ended before it had a server')
}

test.each([[[]], [['paused']]])('a server does not outlive the SIGKILL of its owner %s', async (args) => {
  const { owned, kill } = await startOwner(...args)
  expect(existsSync(owned.dir)).toBe(true)
  kill()
  const isGone = async () => !(await isOpen(owned.port)) && !existsSync(owned.dir)
  await waitUntil('server and folder are gone', isGone, { timeoutMs: 20_000 })
})
