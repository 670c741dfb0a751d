/** What `parseArgs` takes and a command cannot use. It is collected, so that all of it is told at once. */
export class ArgumentMistakes {
  readonly #mistakes: string[] = []

  add(mistake: string): void {
    this.#mistakes.push(mistake)
  }

  throwIfAny(): void {
    if (this.#mistakes.length > 0) throw new MistakenArguments(this.#mistakes.join('\n  '))
  }
}

/** Ends the command before anything was looked at. */
export class MistakenArguments extends Error {
  override readonly name = 'MistakenArguments'
}
