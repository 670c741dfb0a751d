import { readFileSync } from 'node:fs'
import { TidemarkError } from '@tidemark/protocol'

/**
 * What only a look at several settings together, or at the files that they name, can find wrong. It is collected, so
 * that all of it is told at once.
 */
export class SettingsMistakes {
  readonly #mistakes: string[] = []

  add(mistake: string): void {
    this.#mistakes.push(mistake)
  }

  /** What the file that `name` gives holds; undefined when none is given, and when it cannot be read. */
  file(name: string, path: string | undefined): string | undefined {
    if (path === undefined) return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      // Only the code: the path may itself be a secret that was put into the wrong variable.
      this.add(`${name}: the file that it names cannot be read (${(error as NodeJS.ErrnoException).code})`)
      return undefined
    }
  }

  /** A secret that is given itself or, as containers mount secrets, in a file, whose last line end is not part of it. */
  secret(name: string, value: string | undefined, path: string | undefined): string | undefined {
    if (value !== undefined && path !== undefined) this.add(`${name} and ${name}_FILE: give one of them`)
    if (path === undefined) return value
    const held = this.file(`${name}_FILE`, path)?.replace(/\r?\n$/, '')
    if (held === '') this.add(`${name}_FILE: the file that it names is empty`)
    return held
  }

  throwIfAny(): void {
    const count = this.#mistakes.length
    if (count === 0) return
    const lines = this.#mistakes.join('\n  ')
    throw new TidemarkError('SETTINGS_INVALID', `${count} mistake(s) in the environment:\n  ${lines}`)
  }
}
