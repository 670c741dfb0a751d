import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import { withDeadline } from './deadline.ts'
import { EXIT } from './process-life.ts'

const FIXTURE = fileURLToPath(new URL('./fixtures/service.ts', import.meta.url))

/** The example service in a process of its own, killed at the end of the test's scope if it is still there. */
class Example {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown[]>
  output = ''

  constructor(env: Record<string, string>, ...args: string[]) {
    this.#child = spawn(process.execPath, [FIXTURE, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    // `close`, not `exit`: only then has all of the output arrived.
    this.#exited = once(this.#child, 'close')
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
        this.#child.emit('output')
      })
    }
  }

  static ending(way: string, env: Record<string, string> = {}): Example {
    return new Example({ TIDEMARK_ENDING: way, ...env })
  }

  async saying(text: string): Promise<void> {
    const signal = AbortSignal.timeout(20_000)
    while (!this.output.includes(text)) await once(this.#child, 'output', { signal })
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async exitCode(): Promise<number | null> {
    await withDeadline(this.#exited, 20_000, 'no exit')
    return this.#child.exitCode
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }
}

test('a service that has nothing more to do exits clean, though a timer is still set', async () => {
  using example = Example.ending('returns')
  expect(await example.exitCode()).toBe(EXIT.clean)
})

test.each(['SIGTERM', 'SIGINT'] as const)(
  'the first %s aborts the run, and a drained service exits clean',
  async (name) => {
    using example = Example.ending('drains')
    await example.saying('running')
    example.kill(name)
    expect(await example.exitCode()).toBe(EXIT.clean)
    expect(example.output).toContain('ended in good order')
  },
)

test('a run that throws the reason of its signal has drained', async () => {
  using example = Example.ending('throws-reason')
  await example.saying('running')
  example.kill('SIGTERM')
  expect(await example.exitCode()).toBe(EXIT.clean)
})

test('an error while draining is a crash', async () => {
  using example = Example.ending('fails-while-draining')
  await example.saying('running')
  example.kill('SIGTERM')
  expect(await example.exitCode()).toBe(EXIT.crashed)
  expect(example.output).toContain('could not flush')
})

test('a second signal does not wait for the drain', async () => {
  using example = Example.ending('never-drains', { TIDEMARK_DRAIN_TIMEOUT_MS: '600000' })
  await example.saying('running')
  example.kill('SIGTERM')
  await example.saying('ending in good order')
  example.kill('SIGTERM')
  expect(await example.exitCode()).toBe(EXIT.forced)
})

test('a drain that takes too long is ended', async () => {
  using example = Example.ending('never-drains', { TIDEMARK_DRAIN_TIMEOUT_MS: '50' })
  await example.saying('running')
  example.kill('SIGTERM')
  expect(await example.exitCode()).toBe(EXIT.drainDeadline)
})

test('an error without a code is a crash, logged with its stack and without the password', async () => {
  using example = Example.ending('crashes')
  expect(await example.exitCode()).toBe(EXIT.crashed)
  expect(example.output).toContain('fixtures/service.ts:')
  expect(example.output).toContain('no route to postgres://app:***@db/shop')
  expect(example.output).not.toContain('hunter2')
})

test('a rejection that nobody handles is a crash', async () => {
  using example = Example.ending('rejects')
  expect(await example.exitCode()).toBe(EXIT.crashed)
  expect(example.output).toMatch(/"level":60.*nobody listens.*the service crashed/)
})

test('a coded error is printed with what mends it and without a stack', async () => {
  using example = Example.ending('coded')
  expect(await example.exitCode()).toBe(EXIT.crashed)
  expect(example.output).toContain('WAL_LEVEL_NOT_LOGICAL: wal_level is replica. Set it to logical')
  expect(example.output).not.toContain('fixtures/service.ts:')
})

test('a mistaken source exits as a mistaken configuration', async () => {
  using example = Example.ending('config')
  expect(await example.exitCode()).toBe(EXIT.configuration)
})

test('mistaken settings exit before anything runs, and all are named', async () => {
  using example = new Example({ TIDEMARK_PRIMARY_URL: 'app:hunter2@db', TIDEMARK_LOG_LEVEL: 'loud' })
  expect(await example.exitCode()).toBe(EXIT.configuration)
  for (const name of ['TIDEMARK_ENDING', 'TIDEMARK_PRIMARY_URL', 'TIDEMARK_LOG_LEVEL']) {
    expect(example.output).toContain(name)
  }
  expect(example.output).not.toContain('hunter2')
  expect(example.output).not.toContain('running')
})

test('--help prints the table, needs no settings and shows no password of a default', async () => {
  using example = new Example({}, '--help')
  expect(await example.exitCode()).toBe(EXIT.clean)
  expect(example.output).toMatch(/`TIDEMARK_PRIMARY_URL` +\| URL +\| `postgres:\/\/app:\*{3}@db\/shop`/)
})

test('an argument that there is not is refused', async () => {
  using example = new Example({ TIDEMARK_ENDING: 'returns' }, '--port=1')
  expect(await example.exitCode()).toBe(EXIT.configuration)
  expect(example.output).toContain('--port=1')
})
