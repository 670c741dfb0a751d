import type { ParseArgsOptionsConfig } from 'node:util'
import type { Environment } from '@tidemark/service'
import type { ExitCode } from './exit-code.ts'

/** What a command has of the process that runs it. */
export interface Terminal {
  readonly env: Environment
  /** The answer: one text, which may have many lines. */
  readonly print: (text: string) => void
  /** What is no part of the answer. */
  readonly complain: (text: string) => void
  /** Aborted by the next SIGINT, for a command that ends in good order then; the one after that ends the process. */
  readonly interruption: () => AbortSignal
}

export type Flags = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

export interface Command {
  readonly name: string
  /** Half a line for the list of commands. */
  readonly summary: string
  /** What `--help` says below the usage line. */
  readonly help: string
  readonly options: ParseArgsOptionsConfig
  /** Whether it takes arguments without a flag before them. */
  readonly takesOperands?: boolean
  readonly run: (flags: Flags, terminal: Terminal, operands: readonly string[]) => Promise<ExitCode>
}
