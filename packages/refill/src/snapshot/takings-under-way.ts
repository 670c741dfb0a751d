import { Budget } from '../read/budget.ts'
import { Interest } from '../read/flights.ts'
import type { SeenMember } from './member.ts'
import { type Taken, Taking, takeLate } from './taking.ts'

interface UnderWay {
  readonly interest: Interest
  readonly taken: Promise<Taken>
}

/**
 * Snapshots of nobody's session that are under way in this process: who asks for the same keys by the same terms is handed
 * the same, so that a herd is one, with or without Redis. As with any flight it may have begun before who joins it; it is
 * judged at its end. In a region's other processes the lease makes the herd wait.
 */
export class TakingsUnderWay {
  readonly #readMs: number
  readonly #byName = new Map<string, UnderWay>()

  /** @param readMs how long one may take, whoever waits for it */
  constructor(readMs: number) {
    this.#readMs = readMs
  }

  /** @param seen by who asks, and is not all fresh and of one instant */
  async join(seen: readonly SeenMember[], budget: Budget): Promise<Taken> {
    const name = nameOf(seen)
    const found = this.#byName.get(name)
    const isJoined = found !== undefined && !found.interest.signal.aborted
    const { interest, taken } = isJoined ? found : this.#begin(name, seen)
    interest.enter()
    try {
      const handed = await budget.within(taken)
      if (handed === null) return await takeLate(seen)
      if (isJoined) tell(seen, handed)
      return handed
    } finally {
      interest.leave()
    }
  }

  /** Ended when nobody waits for it any more, not when one of them goes. */
  #begin(name: string, seen: readonly SeenMember[]): UnderWay {
    const interest = new Interest()
    const budget = new Budget(this.#readMs, interest.signal)
    const taking = new Taking(seen.map((member) => ({ ...member, inquiry: { ...member.inquiry, budget } })))
    const underWay = { interest, taken: taking.take() }
    this.#byName.set(name, underWay)
    const ended = () => {
      if (this.#byName.get(name) === underWay) this.#byName.delete(name)
    }
    underWay.taken.then(ended, ended)
    return underWay
  }
}

/** Of the same name are those that ask the same: the keys, and what each contract or the call makes of them. */
function nameOf(seen: readonly SeenMember[]): string {
  const asked = seen.map(({ reference, inquiry: { terms, whenUnprovable } }) => [
    reference.wanted.key,
    String(terms.contract.maxStalenessMs),
    whenUnprovable,
  ])
  return JSON.stringify(asked.sort())
}

/** Each call's reads are told, though one did the work: of what was loaded, why the cell would not do. */
function tell(seen: readonly SeenMember[], { readings }: Taken): void {
  for (const { reference, doubt: miss } of seen) {
    const { from, freshness, doubt } = readings.get(reference.wanted.key)!
    const why = from === 'redis' ? doubt : miss
    reference.scope.emit({ event: 'read', from, fresh: freshness === 'fresh', doubt: why })
  }
}
