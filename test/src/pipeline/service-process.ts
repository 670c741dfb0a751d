import { join } from 'node:path'
import { Child, freePort, RunFolder } from '@tidemark/local'
import type { PipelineServers } from './pipeline-context.ts'

const SERVICES = join(import.meta.dirname, '../../../services')
const CONFIG = join(import.meta.dirname, 'hot.config.ts')

/** Whom a service serves, and where: a PipelineContext is one. */
export interface ServiceSurroundings {
  readonly name: string
  /** A publisher needs no Redis. */
  readonly servers: Pick<PipelineServers, 'primaryUrl' | 'brokers'> & Partial<Pick<PipelineServers, 'redisUrl'>>
}

/** A publisher or a worker as a process of its own, which can be killed as often as one likes. */
export class ServiceProcess implements AsyncDisposable {
  readonly name: 'publisher' | 'worker'
  readonly #context: ServiceSurroundings
  readonly #folder: RunFolder
  readonly #env: NodeJS.ProcessEnv
  #child: Child | undefined
  #port = 0
  #kills = 0

  private constructor(
    name: 'publisher' | 'worker',
    context: ServiceSurroundings,
    folder: RunFolder,
    env: NodeJS.ProcessEnv,
  ) {
    this.name = name
    this.#context = context
    this.#folder = folder
    this.#env = env
  }

  /** @param env goes before what the surroundings say */
  static async start(
    name: 'publisher' | 'worker',
    context: ServiceSurroundings,
    env: NodeJS.ProcessEnv = {},
  ): Promise<ServiceProcess> {
    const service = new ServiceProcess(name, context, await RunFolder.create(), env)
    await service.start()
    return service
  }

  get pid(): number {
    if (!this.#child) throw new Error(`the ${this.name} was not started`)
    return this.#child.pid
  }

  get logFile(): string {
    return this.#folder.at(`${this.name}.log`)
  }

  /** Where it says how it is; another one after each start. */
  get telemetryUrl(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get isRunning(): boolean {
    return this.#child?.isRunning ?? false
  }

  get kills(): number {
    return this.#kills
  }

  /** Returns once it runs, which is before it works: a kill may come while it still recovers. */
  async start(): Promise<void> {
    const { servers, name } = this.#context
    const port = await freePort()
    const child = await Child.start({
      name: this.name,
      command: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', join(SERVICES, this.name, 'src/main.ts')],
      logFile: this.logFile,
      env: {
        ...process.env,
        TIDEMARK_TEST_NAME: name,
        TIDEMARK_CONFIG: CONFIG,
        TIDEMARK_PRIMARY_URL: servers.primaryUrl,
        TIDEMARK_KAFKA_BROKERS: servers.brokers.join(','),
        TIDEMARK_REDIS_URL: servers.redisUrl,
        TIDEMARK_REGION: 'eu-west',
        TIDEMARK_KAFKA_SESSION_MS: '1000',
        TIDEMARK_KAFKA_SILENCE_MS: '5000',
        TIDEMARK_TELEMETRY_PORT: String(port),
        ...this.#env,
      },
      ready: async (signal) => (await fetch(`http://127.0.0.1:${port}/livez`, { signal })).ok,
      readyTimeoutMs: 60_000,
    })
    // Together: whoever asks this one while it comes up must not take its answers for those of the one before.
    this.#child = child
    this.#port = port
  }

  /** SIGKILL: nothing is flushed, nothing is said goodbye to. */
  async kill(): Promise<void> {
    await this.#child?.kill()
    this.#kills++
  }

  /** SIGTERM: it ends what it has in hand, and leaves. */
  async stop(): Promise<void> {
    await this.#child?.stop()
  }

  /** Its connections stay open, and it does nothing. */
  pause(): void {
    this.#child?.pause()
  }

  resume(): void {
    this.#child?.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]()
    await this.#folder[Symbol.asyncDispose]()
  }
}
