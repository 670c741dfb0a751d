import type { MutantName } from './mutants.ts'

/** How far a world goes: what bounds the exploration. */
export interface Scope {
  readonly commits: number
  /** What a commit may change: 1 is a, 2 is b, 3 is both. */
  readonly touches: readonly number[]
  readonly fills: number
  readonly apps: number
  readonly faults: number
  /** Which faults may come; each costs one. */
  readonly kinds: readonly Fault[]
  readonly session: boolean
  /** What a worker does with a live value: take it out, or write the row's projection over it. */
  readonly reaction: 'invalidate' | 'update'
}

export type Fault =
  | 'publisher crashes'
  | 'Redis fails over'
  | 'Redis evicts'
  | 'tombstones dropped'
  | 'zombie'
  | 'lease expires'
  | 'retention'
  | 'slot lost'
  | 'promotion'

/** The protocol, or the protocol with one of its rules broken. */
export class Rules {
  readonly scope: Scope
  readonly #broken: MutantName | null

  constructor(scope: Scope, broken: MutantName | null = null) {
    this.scope = scope
    this.#broken = broken
  }

  broken(rule: MutantName): boolean {
    return this.#broken === rule
  }

  may(fault: Fault, faults: number): boolean {
    return faults > 0 && this.scope.kinds.includes(fault)
  }
}

/** What may happen next: in words, and what the world is then. */
export type Steps<State> = Generator<readonly [happens: string, then: State]>
