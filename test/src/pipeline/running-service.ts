import { type Logger, pino } from 'pino'

/** A service that runs in this process, until it is stopped or ends by itself, and what it logs meanwhile. */
export class RunningService implements AsyncDisposable {
  /** The codes of the errors that it has logged, in their order. */
  readonly codes: string[] = []
  readonly #ending = new AbortController()
  readonly #ended: Promise<unknown>

  constructor(service: (signal: AbortSignal, log: Logger) => Promise<unknown>) {
    const log = pino({ level: process.env.TIDEMARK_TEST_LOG ?? 'info' }, { write: (line: string) => this.#note(line) })
    this.#ended = service(this.#ending.signal, log).then(
      () => undefined,
      (error: unknown) => (this.#ending.signal.aborted ? undefined : error),
    )
  }

  /** Asks it to end, and waits; throws what it ended with by itself before. */
  async stop(): Promise<void> {
    this.#ending.abort()
    const failure = await this.#ended
    if (failure) throw failure
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #note(line: string): void {
    if (process.env.TIDEMARK_TEST_LOG) process.stderr.write(line)
    const { err } = JSON.parse(line) as { readonly err?: { readonly code?: string } }
    if (err?.code !== undefined) this.codes.push(err.code)
  }
}
