/** A statement of the story, and what the run showed. */
export interface Claim {
  readonly statement: string
  readonly held: boolean
  /** What was measured, in words for a person. */
  readonly seen: string
}

/** Every statement that the story makes is a claim: the run ends well only if all of them held. */
export class Claims {
  readonly #claims: Claim[] = []
  readonly #tell: (claim: Claim) => void

  constructor(tell: (claim: Claim) => void) {
    this.#tell = tell
  }

  claim(statement: string, held: boolean, seen: string): void {
    const claim = { statement, held, seen }
    this.#claims.push(claim)
    this.#tell(claim)
  }

  get made(): number {
    return this.#claims.length
  }

  get broken(): readonly Claim[] {
    return this.#claims.filter((claim) => !claim.held)
  }

  /** A story that claimed nothing has shown nothing. */
  get allHeld(): boolean {
    return this.made > 0 && this.broken.length === 0
  }
}
