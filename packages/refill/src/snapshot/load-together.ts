import { type Demand, floorOf } from '@tidemark/guard'
import { after, join, maxPosition, type Position } from '@tidemark/protocol'
import type { Budget } from '../read/budget.ts'
import type { Brought } from '../read/flights.ts'
import { isBeatRecent, loadInTime } from '../read/refill.ts'
import type { Load } from '../sources/labelled-load.ts'
import type { FromSource, Requirement } from '../sources/sources.ts'
import type { SeenMember } from './member.ts'
import { MemberLeases } from './member-leases.ts'

export type Arrived = Brought<unknown> & { readonly code: 'loaded' }

/** Another loads the member, or its load failed. */
export type NotLoaded =
  | { readonly code: 'busy'; readonly member: SeenMember }
  | { readonly code: 'failed'; readonly member: SeenMember; readonly error: unknown }

export type Together = { readonly code: 'loaded'; readonly brought: readonly Arrived[] } | NotLoaded

export interface TogetherTerms {
  readonly budget: Budget
  /** Whether there is time to wait for another's load. */
  readonly mayWait: boolean
  /** The load must not lack what it covers, and the primary does not. */
  readonly atLeast: Position
}

/**
 * Loads keys of several caches in one repeatable-read transaction, and stores each where its lease was to be had.
 *
 * @param kept what is to be served beside them: the load must not lack what these hold, nor what their watermarks cover
 */
export async function loadTogether(
  members: readonly SeenMember[],
  kept: readonly SeenMember[],
  { budget, mayWait, atLeast }: TogetherTerms,
): Promise<Together> {
  const startedAt = performance.now()
  const known = needOf(members, kept, atLeast)
  const leases = known === null ? MemberLeases.none() : await MemberLeases.take(members, mayWait)
  if (!(leases instanceof MemberLeases)) return { code: 'busy', member: leases }
  const { leaseMs } = members[0]!.reference.scope.host.timings
  try {
    const need = known && beyond(known, leases.granted)
    const got = await leases.whileRenewed(leaseMs, () => loadAll(members, need, budget))
    return await keep(members, leases, got, performance.now() - startedAt)
  } catch (error) {
    await leases.release()
    return { code: 'failed', member: members[0]!, error }
  }
}

/** Each value on its own way: into Redis where there is a lease. Whatever happens the leases are over then. */
async function keep(
  members: readonly SeenMember[],
  leases: MemberLeases,
  { from, loaded }: FromSource<readonly unknown[]>,
  costMs: number,
): Promise<Together> {
  const brought = await Promise.all(
    members.map((member, i) => {
      const { refill, wanted } = member.reference
      const one = { from, loaded: { ...loaded, value: loaded.value[i] } }
      const lease = leases.of(member)
      return lease ? refill.kept(lease, one, costMs) : refill.unkept({ wanted, sight: member.sight }, one)
    }),
  )
  const arrived: Arrived[] = []
  for (const [i, one] of brought.entries()) {
    if (one.code !== 'loaded') return { code: 'failed', member: members[i]!, error: causeOf(one) }
    arrived.push(one)
  }
  return { code: 'loaded', brought: arrived }
}

/**
 * What the load must cover, so that what is kept can be exact where it is, and no member's session is ahead of it: what
 * contracts waive differs. Null where some partition has no view to label by. Of `granted` all was visible before the
 * load; not of `required`.
 */
export function needOf(
  members: readonly SeenMember[],
  kept: readonly SeenMember[],
  atLeast: Position,
): Requirement | null {
  const seen = [...members, ...kept]
  if (seen.some(({ sight }) => sight.view === null || sight.view.gap !== undefined)) return null
  const shown = seen.flatMap(({ sight, reference }): Position[] => {
    const view = sight.view!
    return [view.watermark, after(view.newest), floorOf(view, reference.scope.keyspace.name), sight.bounds.granted]
  })
  const granted = maxPosition(atLeast, ...shown)
  const held = kept.map(({ sight }) => sight.cell!.label.high)
  return { granted, required: maxPosition(granted, ...held), demand: demandOfAll(seen) }
}

function demandOfAll(seen: readonly SeenMember[]): Demand | null {
  const joined = (a: Demand | null, b: Demand) => (a ? { own: join(a.own, b.own), seen: join(a.seen, b.seen) } : b)
  return seen.flatMap(({ inquiry }) => inquiry.terms.demand ?? []).reduce<Demand | null>(joined, null)
}

function beyond({ granted, required, demand }: Requirement, leased: Position): Requirement {
  return { granted: maxPosition(granted, leased), required: maxPosition(required, leased), demand }
}

async function loadAll(
  members: readonly SeenMember[],
  need: Requirement | null,
  { signal, leftMs }: Budget,
): Promise<FromSource<readonly unknown[]>> {
  const { scope } = members[0]!.reference
  const { sources, timings } = scope.host
  const mayReplicas = members.every(({ inquiry, sight }) => !inquiry.isBypass && isBeatRecent(sight, inquiry.terms))
  const call = (within: AbortSignal) => {
    const [load, options] = [partsOf(members, within), { isolation: 'snapshot', signal: within } as const]
    if (need === null) return sources.loadFromPrimary(scope.keyspace.name, load, null, options)
    return sources.load(scope.keyspace.name, load, need, { ...options, replicasMayServe: mayReplicas })
  }
  return loadInTime(call, Math.min(leftMs, timings.loadMs), signal)
}

/** Each cache's own load, for all of its keys, one cache after another on the one connection. */
function partsOf(members: readonly SeenMember[], signal: AbortSignal): Load<readonly unknown[]> {
  return async (db) => {
    const values = new Map<SeenMember, unknown>()
    for (const [refill, ofOne] of Map.groupBy(members, ({ reference }) => reference.refill)) {
      const part = await refill.loadPart(
        db,
        ofOne.map(({ reference }) => reference.wanted),
        signal,
      )
      for (const [i, member] of ofOne.entries()) values.set(member, part[i])
    }
    return members.map((member) => values.get(member))
  }
}

function causeOf(one: Exclude<Brought<unknown>, Arrived>): unknown {
  return one.code === 'failed' ? one.error : new Error(one.why)
}
