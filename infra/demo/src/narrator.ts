import { styleText } from 'node:util'
import type { Claim } from './claims.ts'

type Style = Parameters<typeof styleText>[0]

/** Tells the story on standard output. Colour only where a terminal shows it and nobody forbade it (NO_COLOR). */
export class Narrator {
  readonly #out: NodeJS.WriteStream

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out
  }

  title(text: string): void {
    this.#line(`\n  ${this.#styled('bold', text)}\n`)
  }

  chapter(number: number, text: string): void {
    this.#line(`\n  ${this.#styled(['bold', 'cyan'], String(number))}  ${this.#styled('bold', text)}`)
  }

  say(text: string): void {
    this.#line(`     ${text}`)
  }

  aside(text: string): void {
    this.#line(`     ${this.#styled('dim', text)}`)
  }

  /** A claim, as it was decided. What was seen stands beside it, and above all when it did not hold. */
  claim({ statement, held, seen }: Claim): void {
    const mark = held ? this.#styled('green', '✓') : this.#styled(['bold', 'red'], '✗')
    const figures = this.#styled(held ? 'dim' : 'red', held ? seen : `not so: ${seen}`)
    this.#line(`   ${mark} ${statement}  ${figures}`)
  }

  #line(text: string): void {
    this.#out.write(`${text}\n`)
  }

  #styled(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#out })
  }
}

/** Cents as a price. */
export function dollars(cents: number | undefined): string {
  return cents === undefined ? 'no price' : `$${(cents / 100).toFixed(2)}`
}

/** A measured time. */
export function milliseconds(ms: number): string {
  return ms < 10_000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1_000).toFixed(1)} s`
}
