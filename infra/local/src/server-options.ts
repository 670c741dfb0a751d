import type { LocalServerError } from './errors.ts'

/** What every server can be told at its start. */
export interface ServerOptions {
  /** Holds data, settings and log. Without one the server has a folder of its own until it is disposed of. */
  readonly dir?: string
  readonly port?: number
  /** Told when it ends without having been asked to. By default a line on stderr. */
  readonly onDeath?: ((error: LocalServerError) => void) | undefined
  readonly onProgress?: (message: string) => void
  /** Interrupts the start. */
  readonly signal?: AbortSignal | undefined
}
