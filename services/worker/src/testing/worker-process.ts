import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RegionContext } from './region-context.ts'

const PROTOCOL = join(import.meta.dirname, '../../../../packages/protocol/src/index.ts')

/** For tests: a worker in a process of its own, as it is deployed. */
export class WorkerProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #folder: string

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child
    this.#folder = folder
  }

  /** @param env goes before what the context says */
  static async start(ctx: RegionContext, env: Readonly<Record<string, string>> = {}): Promise<WorkerProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-worker-'))
    const config = join(folder, 'tidemark.config.ts')
    await writeFile(
      config,
      `import { defineSource } from ${JSON.stringify(PROTOCOL)}\nexport default defineSource(${JSON.stringify(ctx.config)})\n`,
    )
    const child = spawn(process.execPath, [join(import.meta.dirname, '../main.ts')], {
      stdio: 'inherit',
      env: {
        TIDEMARK_CONFIG: config,
        TIDEMARK_REGION: 'test',
        TIDEMARK_REDIS_URL: ctx.server.url,
        TIDEMARK_KAFKA_BROKERS: ctx.brokers,
        TIDEMARK_TELEMETRY_PORT: '0',
        TIDEMARK_KAFKA_SESSION_MS: '2000',
        TIDEMARK_LOG_LEVEL: 'error',
        ...env,
      },
    })
    await once(child, 'spawn')
    return new WorkerProcess(child, folder)
  }

  get pid(): number {
    assert(this.#child.pid, 'it was spawned')
    return this.#child.pid
  }

  /** SIGKILL, as the kernel's memory killer would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** As a virtual machine that is moved, or a process that the scheduler forgets. */
  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  /** SIGTERM, as a deployment would. Returns the exit code. */
  async terminate(): Promise<number | null> {
    return this.#end('SIGTERM')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('SIGKILL')
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit')
      this.#child.kill(signal)
      await exited
    }
    return this.#child.exitCode
  }
}
