import { Child, type ChildSpec } from './child.ts'
import { LocalServerError } from './errors.ts'
import type { ServerFolder } from './run-folder.ts'

/** A server that is one process after another on the same folder and port: stopped, crashed or frozen, and started again. */
export abstract class ServerProcess implements AsyncDisposable {
  /** What it is called in errors and messages. */
  readonly name: string
  readonly dir: string
  readonly #folder: ServerFolder
  #child: Child | undefined

  protected constructor(name: string, folder: ServerFolder) {
    this.name = name
    this.dir = folder.path
    this.#folder = folder
  }

  /** Makes ready what the next process needs, and says how it is started. */
  protected abstract prepare(): Promise<ChildSpec>

  protected get child(): Child | undefined {
    return this.#child
  }

  get isRunning(): boolean {
    return this.#child?.isRunning ?? false
  }

  /** Starts it again, on the same folder and port. */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.isRunning) throw new LocalServerError('WRONG_STATE', `${this.name} runs already`)
    this.#child = await Child.start({ ...(await this.prepare()), signal })
  }

  /** An orderly end. */
  async stop(): Promise<void> {
    await this.#child?.stop()
  }

  /** SIGKILL, as a crash would end it. */
  async kill(): Promise<void> {
    await this.#child?.kill()
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** Connections stay open, and nobody answers. */
  pause(): void {
    this.#child?.pause()
  }

  resume(): void {
    this.#child?.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.#folder[Symbol.asyncDispose]()
  }
}
