import { isTidemarkError } from '@tidemark/protocol'

/** What `parseArgs` takes and a command cannot use. It is collected, so that all of it is told at once. */
export class ArgumentMistakes {
  readonly #mistakes: string[] = []

  add(mistake: string): void {
    this.#mistakes.push(mistake)
  }

  /** What it gives; undefined after a mistake of the source's words was noted. */
  attempt<T>(read: () => T): T | undefined {
    try {
      return read()
    } catch (error) {
      if (!isTidemarkError(error)) throw error
      this.add(error.message)
      return undefined
    }
  }

  throwIfAny(): void {
    if (this.#mistakes.length > 0) throw new MistakenArguments(this.#mistakes.join('\n  '))
  }
}

/** Ends the command before anything was looked at. */
export class MistakenArguments extends Error {
  override readonly name = 'MistakenArguments'
}
