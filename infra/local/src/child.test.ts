import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { Child, type ChildSpec } from './child.ts'
import type { LocalServerError } from './errors.ts'
import { isAlive } from './process-table.ts'
import { RunFolder } from './run-folder.ts'
import { waitUntil } from './wait.ts'

const IN_TIME = { timeoutMs: 10_000 }
const LIVE_ON = 'setInterval(() => {}, 1000)'
const DEAF = `process.on('SIGTERM', () => console.log('no')); ${LIVE_ON}; console.log('up')`

function specOf(folder: RunFolder, script: string, more: Partial<ChildSpec> = {}): ChildSpec {
  const logFile = folder.at('child.log')
  return { name: 'child', command: process.execPath, args: ['-e', script, folder.path], logFile, ...more }
}

function said(spec: ChildSpec, text: string): () => Promise<boolean> {
  return async () => (await readFile(spec.logFile, 'utf8')).includes(text)
}

test('a child is started when it is ready, and its output goes to its log', async () => {
  await using folder = await RunFolder.create()
  const spec = specOf(folder, `setTimeout(() => console.log('up'), 50); ${LIVE_ON}`)
  await using child = await Child.start({ ...spec, ready: said(spec, 'up') })
  expect(await child.logTail()).toBe('up')
})

test('an orderly end is observed, with its code', async () => {
  await using folder = await RunFolder.create()
  const spec = specOf(folder, `process.on('SIGTERM', () => process.exit(3)); ${LIVE_ON}; console.log('up')`)
  const child = await Child.start({ ...spec, ready: said(spec, 'up') })
  expect(await child.stop()).toEqual({ code: 3, signal: null })
  expect(existsSync(`${spec.logFile}.pid`)).toBe(false)
})

test('a child that ignores the request to end is killed at the deadline', async () => {
  await using folder = await RunFolder.create()
  const spec = specOf(folder, DEAF, { stopTimeoutMs: 200 })
  const child = await Child.start({ ...spec, ready: said(spec, 'up') })
  expect(await child.stop()).toEqual({ code: null, signal: 'SIGKILL' })
  expect(await child.logTail()).toContain('no')
})

test('a child that dies before it is ready fails the start, with the tail of its log', async () => {
  await using folder = await RunFolder.create()
  const spec = specOf(folder, `console.error('no such table'); process.exit(7)`, { ready: () => false })
  await expect(Child.start(spec)).rejects.toMatchObject({
    code: 'CHILD_DIED',
    message: 'child ended by itself with code 7\nno such table',
  })
})

test('a child that does not get ready in time is ended, and the last refusal is the cause', async () => {
  await using folder = await RunFolder.create()
  const refusal = new Error('not yet')
  const ready = () => Promise.reject(refusal)
  const spec = specOf(folder, `console.log(process.pid); ${LIVE_ON}`, { ready, readyTimeoutMs: 500 })
  await expect(Child.start(spec)).rejects.toMatchObject({ code: 'DEADLINE', cause: refusal })
  expect(isAlive(Number(await readFile(spec.logFile, 'utf8')))).toBe(false)
})

test('a readiness probe that hangs does not outlast the deadline', async () => {
  await using folder = await RunFolder.create()
  const ready = () => new Promise<boolean>(() => undefined)
  const start = Child.start(specOf(folder, LIVE_ON, { ready, readyTimeoutMs: 200 }))
  await expect(start).rejects.toMatchObject({ code: 'DEADLINE' })
})

test('a start that is interrupted leaves no process', async () => {
  await using folder = await RunFolder.create()
  const stop = new AbortController()
  const spec = specOf(folder, `console.log(process.pid); ${LIVE_ON}`, { signal: stop.signal })
  const ready = async () => {
    if (await said(spec, '\n')()) stop.abort()
    return false
  }
  await expect(Child.start({ ...spec, ready })).rejects.toMatchObject({ code: 'INTERRUPTED' })
  expect(isAlive(Number(await readFile(spec.logFile, 'utf8')))).toBe(false)
})

test('a command that is not there fails the start', async () => {
  await using folder = await RunFolder.create()
  const start = Child.start(specOf(folder, '', { command: '/no/such/command' }))
  await expect(start).rejects.toMatchObject({ code: 'CHILD_NOT_STARTED', cause: { code: 'ENOENT' } })
})

test('a death that nobody asked for is told', async () => {
  await using folder = await RunFolder.create()
  const { promise: death, resolve: onDeath } = Promise.withResolvers<LocalServerError>()
  const child = await Child.start(specOf(folder, LIVE_ON, { onDeath }))
  process.kill(child.pid, 'SIGKILL')
  expect(await death).toMatchObject({ code: 'CHILD_DIED', message: expect.stringContaining('on SIGKILL') })
  expect(child.isRunning).toBe(false)
})

test('a paused child makes no progress, and can be ended', async () => {
  await using folder = await RunFolder.create()
  const spec = specOf(folder, `setInterval(() => console.log('tick'), 5)`)
  await using child = await Child.start({ ...spec, ready: said(spec, 'tick') })
  child.pause()
  const length = async () => (await readFile(spec.logFile)).length
  let before = -1
  await waitUntil(
    'it stands still',
    async () => {
      const now = await length()
      const isStill = now === before
      before = now
      return isStill
    },
    { ...IN_TIME, everyMs: 50 },
  )
  child.resume()
  await waitUntil('it goes on', async () => (await length()) > before, IN_TIME)
  child.pause()
  expect(await child.stop()).toEqual({ code: null, signal: 'SIGTERM' })
})

test('a leftover that the pid file names is ended before its successor starts', async () => {
  await using folder = await RunFolder.create()
  const { promise: death, resolve: onDeath } = Promise.withResolvers<LocalServerError>()
  const former = await Child.start(specOf(folder, LIVE_ON, { onDeath }))
  await using child = await Child.start(specOf(folder, LIVE_ON))
  expect((await death).code).toBe('CHILD_DIED')
  expect(former.isRunning).toBe(false)
  expect(child.isRunning).toBe(true)
})
