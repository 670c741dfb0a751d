import { randomBytes } from 'node:crypto'
import type { LeaseResult } from '@tidemark/guard'
import { maxPosition, ORIGIN, type Position } from '@tidemark/protocol'
import { whileRenewed } from '../read/lease-renewal.ts'
import type { Leased, Seen } from '../read/refill.ts'
import type { SeenMember } from './member.ts'

interface Asked {
  readonly errand: Seen
  readonly id: string
  readonly answer: LeaseResult | null
}

/**
 * The leases of what a snapshot loads, as many as were to be had. The first key's, by name, is asked for alone: those who
 * miss the same keys meet at it, one of them loads, and none has leases that another waits for.
 */
export class MemberLeases {
  readonly #leases: ReadonlyMap<SeenMember, Leased>

  private constructor(leases: ReadonlyMap<SeenMember, Leased>) {
    this.#leases = leases
  }

  static none(): MemberLeases {
    return new MemberLeases(new Map())
  }

  /**
   * What others load just now, but for the first key, is loaded all the same: it would be of another instant.
   *
   * @returns the first key's member instead, when another loads it and there is time to wait for that
   */
  static async take(members: readonly SeenMember[], mayWait: boolean): Promise<MemberLeases | SeenMember> {
    const [first, ...others] = members.filter(({ inquiry }) => !inquiry.isBypass).sort(byKey)
    if (first === undefined) return MemberLeases.none()
    const lead = await ask(first)
    if (mayWait && (lead.answer?.code === 'busy' || lead.answer?.code === 'changed')) return first
    const asked = [lead, ...(await Promise.all(others.map(ask)))]
    const leases = new Map<SeenMember, Leased>()
    for (const [i, member] of [first, ...others].entries()) {
      const { answer, ...one } = asked[i]!
      if (answer?.code === 'granted') leases.set(member, { ...one, answer })
    }
    return new MemberLeases(leases)
  }

  of(member: SeenMember): Leased | null {
    return this.#leases.get(member) ?? null
  }

  /** What a load on the primary does not lack from now on. */
  get granted(): Position {
    return maxPosition(ORIGIN, ...[...this.#leases.values()].map(({ answer }) => answer.granted))
  }

  whileRenewed<T>(leaseMs: number, load: () => Promise<T>): Promise<T> {
    const renew = () => Promise.all([...this.#leases].map(([{ reference }, lease]) => reference.refill.lease(lease)))
    return whileRenewed(leaseMs, renew, load)
  }

  async release(): Promise<void> {
    await Promise.all([...this.#leases].map(([{ reference }, lease]) => reference.refill.release(lease)))
  }
}

async function ask({ reference, sight }: SeenMember): Promise<Asked> {
  const errand = { wanted: reference.wanted, sight }
  const id = randomBytes(8).toString('hex')
  return { errand, id, answer: await reference.refill.lease({ errand, id }) }
}

function byKey(a: SeenMember, b: SeenMember): number {
  return a.reference.wanted.key < b.reference.wanted.key ? -1 : 1
}
