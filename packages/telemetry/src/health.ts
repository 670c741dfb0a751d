/** A check that does not pass, why, and since when. */
export interface FailingCheck {
  readonly check: string
  readonly reason: string
  readonly since: string
}

/** What a component says of itself. */
export interface HealthCheck {
  readonly pass: () => void
  /** @param reason for an operator's eyes; holds no secret */
  readonly fail: (reason: string) => void
}

interface State {
  reason: string | undefined
  sinceMs: number
}

/**
 * The checks that make a process ready. A check fails until its component has said otherwise: a service that has not
 * yet reached its servers is not ready. `since` is when a check began to fail, not when its reason last changed.
 */
export class Health {
  readonly #states = new Map<string, State>()
  readonly #watches = new Map<string, () => string | undefined>()
  readonly #nowMs: () => number

  /** @param nowMs the wall clock, for `since` */
  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs
  }

  /** A check that its component sets. */
  check(name: string): HealthCheck {
    this.#enter(name)
    return {
      pass: () => this.#set(name, undefined),
      fail: (reason) => this.#set(name, reason),
    }
  }

  /** A check that is asked at each probe: it gives the reason why it fails, or undefined. For what ages by itself. */
  watch(name: string, reasonItFails: () => string | undefined): void {
    this.#enter(name)
    this.#watches.set(name, reasonItFails)
  }

  failing(): FailingCheck[] {
    for (const [name, reasonItFails] of this.#watches) this.#set(name, ask(reasonItFails))
    return [...this.#states].flatMap(([check, { reason, sinceMs }]) =>
      reason === undefined ? [] : [{ check, reason, since: new Date(sinceMs).toISOString() }],
    )
  }

  #enter(name: string): void {
    if (this.#states.has(name)) throw new RangeError(`there is a check named ${name} already`)
    this.#states.set(name, { reason: 'has not passed yet', sinceMs: this.#nowMs() })
  }

  #set(name: string, reason: string | undefined): void {
    const before = this.#states.get(name)
    const goesOn = before !== undefined && (before.reason === undefined) === (reason === undefined)
    this.#states.set(name, { reason, sinceMs: goesOn ? before.sinceMs : this.#nowMs() })
  }
}

/** A check that cannot be made does not pass; the process that is asked goes on. */
function ask(reasonItFails: () => string | undefined): string | undefined {
  try {
    return reasonItFails()
  } catch (error) {
    return `the check itself failed: ${error instanceof Error ? error.message : error}`
  }
}
