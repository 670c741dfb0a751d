import { judge, type Label } from '@tidemark/guard'
import { maxPosition } from '@tidemark/protocol'
import { lookAround, NOTHING_SEEN, type WideSight } from '../dependencies/dependency-look.ts'
import type { Reading } from '../read/answer.ts'
import type { Budget } from '../read/budget.ts'
import { isExpired } from '../read/expiry.ts'
import type { Inquiry } from '../read/inquiry.ts'
import type { ReadDoubt } from '../read/judge-loaded.ts'
import { look, lookAtViews } from '../read/look.ts'
import type { Reference } from './reference.ts'
import { exactInterval, holdsOver, type Interval, isOfAnInstant } from './snapshot-choice.ts'

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
  /** Where it is exact, be it fresh or not; null when that is nowhere. */
  readonly exact: Interval | null
}

/** Looks at all of them: one MGET a keyspace and partition, all sent before any answer is awaited. */
export async function lookAtMembers(members: readonly Member[], budget: Budget): Promise<SeenMember[]> {
  const seen = new Map<Member, SeenMember>()
  const byScope = Map.groupBy(members, (member) => member.reference.scope)
  const looking = Promise.all(
    [...byScope].map(async ([scope, ofOne]) => {
      const wanted = ofOne.map((member) => member.reference.wanted)
      const looked = ofOne[0]!.inquiry.isBypass ? lookAtViews(scope, wanted) : look(scope, wanted)
      const sights = await lookAround(scope, await looked)
      for (const [i, member] of ofOne.entries()) seen.set(member, judged(member, sights[i]!))
    }),
  )
  // Without a signal Redis' own bound is enough.
  await (budget.signal ? budget.within(looking) : looking)
  return members.map((member) => seen.get(member) ?? judged(member, null))
}

function judged(member: Member, sight: WideSight | null): SeenMember {
  if (sight === null) return { ...member, sight: NOTHING_SEEN, doubt: 'redis-away', exact: null }
  if (sight.view) member.reference.scope.host.announced.met(sight.view)
  const doubt = doubtOf(member, sight)
  const exact = isOfAnInstant(doubt) ? exactInterval(sight.cell!.label, sight.view!) : null
  return { ...member, sight, doubt, exact }
}

function doubtOf({ reference, inquiry }: Member, { view, cell }: WideSight): ReadDoubt | null {
  if (inquiry.isBypass) return 'bypass'
  const now = Date.now()
  const verdict = judge(view, cell, inquiry.terms, now)
  if (!verdict.fresh) return verdict.doubt
  return isExpired(cell!, reference.scope.keyspace.contract, now) ? 'expired' : null
}

/** What is in Redis of each, to be handed over; null when one of them cannot be decoded. */
export function handOver(seen: readonly SeenMember[]): Map<string, Reading<unknown>> | null {
  const readings = new Map<string, Reading<unknown>>()
  for (const { reference, inquiry, sight, doubt } of seen) {
    const cell = sight.cell!
    const position = maxPosition(cell.label.low, sight.view!.watermark)
    const { answers, wanted } = reference
    const reading = doubt === null ? answers.hit(inquiry, cell, position) : answers.aged(inquiry, cell, doubt, position)
    if (reading === null) return null
    readings.set(wanted.key, reading)
  }
  return readings
}

/** How all that was kept stands to what was loaded: as the one that stands worst. */
export function holdAllOver(kept: readonly SeenMember[], loaded: Label): 'now' | 'later' | 'never' {
  const each = kept.map(({ doubt, sight }) =>
    doubt === null ? holdsOver(sight.cell!.label, sight.view!, loaded) : ('never' as const),
  )
  return each.includes('never') ? 'never' : each.includes('later') ? 'later' : 'now'
}
