import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RunFolder, waitUntil } from '@tidemark/local'
import { PRODUCTS } from './products.ts'
import type { PublisherContext } from './publisher-context.ts'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const PROTOCOL = new URL('../../../../packages/protocol/src/index.ts', import.meta.url).href
const DEADLINE_MS = 30_000

/** A publisher in a process of its own, which can be frozen and killed, and what it logged. For tests alone. */
export class PublisherProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #folder: RunFolder
  #output = ''

  private constructor(child: ChildProcess, folder: RunFolder) {
    this.#child = child
    this.#folder = folder
    child.stdout?.on('data', (bytes) => {
      this.#output += bytes
    })
  }

  /** Publishes `ctx.source(PRODUCTS)`. */
  static async start(ctx: PublisherContext, more: Readonly<Record<string, string>> = {}): Promise<PublisherProcess> {
    const folder = await RunFolder.create()
    const file = join(folder.path, 'tidemark.config.ts')
    const config = { name: ctx.name.replaceAll('_', '-'), partitions: 2, keyspaces: PRODUCTS }
    const source = `import { defineSource } from '${PROTOCOL}'\nexport default defineSource(${JSON.stringify(config)})\n`
    await writeFile(file, source)
    const child = spawn(process.execPath, [MAIN], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        TIDEMARK_CONFIG: file,
        TIDEMARK_PRIMARY_URL: ctx.url,
        TIDEMARK_KAFKA_BROKERS: ctx.brokers.join(','),
        TIDEMARK_BEAT_MS: '50',
        TIDEMARK_TELEMETRY_PORT: '0',
        ...more,
      },
    })
    return new PublisherProcess(child, folder)
  }

  /** Waits until it has logged that, so many times. */
  async logged(text: string, times = 1): Promise<void> {
    const has = () => this.#output.split(text).length - 1 >= times
    await waitUntil(`the process logs ${JSON.stringify(text)}`, has, { timeoutMs: DEADLINE_MS })
  }

  /** Its sockets stay open, what is sent to it waits in the kernel, and it knows nothing of it. */
  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended()
  }

  /** Asks it to end. @returns its exit code */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    return this.ended()
  }

  /** Until it has ended. @returns its exit code, null if it was killed */
  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close')
    return this.#child.exitCode
  }

  /** What it has logged, a line each. */
  get lines(): readonly string[] {
    return this.#output.trim().split('\n')
  }

  async telemetryPort(): Promise<number> {
    await this.logged('"telemetryPort":')
    return Number(/"telemetryPort":(\d+)/.exec(this.#output)![1])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    await this.#folder[Symbol.asyncDispose]()
  }
}
