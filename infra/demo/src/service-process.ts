import { resolve } from 'node:path'
import { Child, type Exit, freePort } from '@tidemark/local'

const project = resolve(import.meta.dirname, '../../..')
const READY_TIMEOUT_MS = 60_000
const PROBE_TIMEOUT_MS = 1_000
// kafkajs sets a negative timer once per client, which Node 24 warns of.
const QUIET = ['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning']

export interface ServiceSpec {
  /** What people call it, and its log: `worker-eu-west`. */
  readonly name: string
  /** Its folder below services/. */
  readonly folder: string
  readonly environment: Readonly<Record<string, string>>
  readonly logFolder: string
  readonly signal: AbortSignal
  /** It ended, and nobody had asked it to. */
  readonly onDeath: (error: Error) => void
}

/** One of the pipeline's services, as a process of its own: it can be killed as any process can, and started again. */
export class ServiceProcess implements AsyncDisposable {
  readonly #spec: ServiceSpec
  readonly #telemetryPort: number
  #child: Child | undefined

  private constructor(spec: ServiceSpec, telemetryPort: number) {
    this.#spec = spec
    this.#telemetryPort = telemetryPort
  }

  /** Starts it and waits until it says that it is ready. */
  static async start(spec: ServiceSpec): Promise<ServiceProcess> {
    const service = new ServiceProcess(spec, await freePort())
    await service.start()
    return service
  }

  get name(): string {
    return this.#spec.name
  }

  get telemetryUrl(): string {
    return `http://127.0.0.1:${this.#telemetryPort}`
  }

  async start(): Promise<void> {
    const { name, folder, environment, logFolder, signal, onDeath } = this.#spec
    this.#child = await Child.start({
      name,
      command: process.execPath,
      args: [...QUIET, resolve(project, 'services', folder, 'src/main.ts')],
      cwd: project,
      env: { PATH: process.env.PATH, ...environment, TIDEMARK_TELEMETRY_PORT: String(this.#telemetryPort) },
      logFile: resolve(logFolder, `${name}.log`),
      ready: (probing) => this.#isReady(probing),
      readyTimeoutMs: READY_TIMEOUT_MS,
      onDeath,
      signal,
    })
  }

  /** SIGKILL: nothing is finished, nothing is said. */
  async kill(): Promise<Exit> {
    if (this.#child === undefined) throw new Error(`${this.name} was never started`)
    return this.#child.kill()
  }

  /** Its page of `/metrics`. */
  async metrics(): Promise<string> {
    const signal = AbortSignal.any([this.#spec.signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)])
    return (await fetch(`${this.telemetryUrl}/metrics`, { signal })).text()
  }

  async logTail(lines: number): Promise<string> {
    return (await this.#child?.logTail(lines)) ?? ''
  }

  async #isReady(probing: AbortSignal): Promise<boolean> {
    const signal = AbortSignal.any([probing, AbortSignal.timeout(PROBE_TIMEOUT_MS)])
    return (await fetch(`${this.telemetryUrl}/readyz`, { signal })).ok
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]()
  }
}
