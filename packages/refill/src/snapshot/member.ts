import { judge, type Label } from '@tidemark/guard'
import { lookAround, NOTHING_SEEN, type WideSight } from '../dependencies/dependency-look.ts'
import type { Reading } from '../read/answer.ts'
import type { Inquiry } from '../read/inquiry.ts'
import type { ReadDoubt } from '../read/judge-loaded.ts'
import { look } from '../read/look.ts'
import type { Reference } from './reference.ts'
import { exactInterval, holdsOver, type Interval } from './snapshot-choice.ts'

/** One key of a snapshot, and what is asked of it. */
export interface Member {
  readonly reference: Reference<unknown>
  readonly inquiry: Inquiry
}

/** As it was seen in Redis. */
export interface SeenMember extends Member {
  readonly sight: WideSight
  /** Why what is there cannot be used; null when it is fresh. */
  readonly doubt: ReadDoubt | null
  readonly exact: Interval | null
}

/** Looks at all of them: one MGET a keyspace and partition, all sent before any answer is awaited. */
export async function lookAtMembers(members: readonly Member[]): Promise<SeenMember[]> {
  const seen = new Map<Member, SeenMember>()
  const byScope = Map.groupBy(members, (member) => member.reference.scope)
  await Promise.all(
    [...byScope].map(async ([scope, ofOne]) => {
      const wanted = ofOne.map((member) => member.reference.wanted)
      const sights = await lookAround(scope, await look(scope, wanted))
      for (const [i, member] of ofOne.entries()) seen.set(member, judged(member, sights[i]!))
    }),
  )
  return members.map((member) => seen.get(member)!)
}

function judged(member: Member, sight: WideSight | null): SeenMember {
  if (sight === null) return { ...member, sight: NOTHING_SEEN, doubt: 'redis-away', exact: null }
  const { host } = member.reference.scope
  if (sight.view) host.announced.met(sight.view)
  const verdict = judge(sight.view, sight.cell, member.inquiry.terms, Date.now())
  const isUsable = verdict.fresh && !member.inquiry.isBypass
  return {
    ...member,
    sight,
    doubt: verdict.fresh ? (isUsable ? null : 'bypass') : verdict.doubt,
    exact: isUsable ? exactInterval(sight.cell!.label, sight.view!) : null,
  }
}

/** What is fresh in Redis, to be handed over; null when it cannot be decoded. */
export function handedOver({ reference, inquiry, sight }: SeenMember): Reading<unknown> | null {
  const cell = sight.cell!
  const { low } = cell.label
  const { watermark } = sight.view!
  return reference.answers.hit(inquiry, cell, low > watermark ? low : watermark)
}

/** How all that was kept stands to what was loaded: as the one that stands worst. */
export function holdAllOver(kept: readonly SeenMember[], loaded: Label): 'now' | 'later' | 'never' {
  const each = kept.map(({ doubt, sight }) =>
    doubt === null ? holdsOver(sight.cell!.label, sight.view!, loaded) : ('never' as const),
  )
  return each.includes('never') ? 'never' : each.includes('later') ? 'later' : 'now'
}
