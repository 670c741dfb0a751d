import { randomBytes } from 'node:crypto'
import { floorOf } from '@tidemark/guard'
import { after, maxPosition, ORIGIN, type Position } from '@tidemark/protocol'
import type { Budget } from '../read/budget.ts'
import type { Brought } from '../read/flights.ts'
import { isBeatRecent, type Leased, loadInTime } from '../read/refill.ts'
import type { Load } from '../sources/labelled-load.ts'
import type { FromSource, Requirement } from '../sources/sources.ts'
import type { SeenMember } from './member.ts'

type Lease = Leased<SeenErrand>
interface SeenErrand {
  readonly wanted: SeenMember['reference']['wanted']
  readonly sight: SeenMember['sight']
}

/**
 * Loads keys of several caches in one repeatable-read transaction, and stores each where its lease was to be had. What
 * another loads just now is loaded all the same: its value would be of another instant.
 *
 * @param kept what is to be served beside them: the load must not lack what these hold, nor what their watermarks cover
 */
export async function loadTogether(
  members: readonly SeenMember[],
  kept: readonly SeenMember[],
  budget: Budget,
): Promise<Brought<unknown>[]> {
  const startedAt = performance.now()
  const leases = await Promise.all(members.map(takeLease))
  let got: FromSource<readonly unknown[]>
  try {
    got = await loadAll(members, needOf(members, kept, leases), budget)
  } catch (error) {
    await Promise.all(leases.map((lease, i) => lease && members[i]!.reference.refill.release(lease)))
    throw error
  }
  const costMs = performance.now() - startedAt
  return Promise.all(
    members.map(({ reference, sight }, i) => {
      const one = { from: got.from, loaded: { ...got.loaded, value: got.loaded.value[i] } }
      const lease = leases[i]
      if (lease) return reference.refill.kept(lease, one, costMs)
      return reference.refill.unkept({ wanted: reference.wanted, sight }, one)
    }),
  )
}

async function takeLease({ reference, inquiry, sight }: SeenMember): Promise<Lease | null> {
  if (inquiry.isBypass || sight.view === null) return null
  const errand = { wanted: reference.wanted, sight }
  const id = randomBytes(8).toString('hex')
  const answer = await reference.refill.lease({ errand, id })
  return answer?.code === 'granted' ? { errand, id, answer } : null
}

/** Null where some partition has no view to label by. Of `granted` all was visible before the load; not of `required`. */
function needOf(
  members: readonly SeenMember[],
  kept: readonly SeenMember[],
  leases: readonly (Lease | null)[],
): Requirement | null {
  const seen = [...members, ...kept]
  if (seen.some(({ sight }) => sight.view === null || sight.view.gap !== undefined)) return null
  const shown = seen.flatMap(({ sight, reference }): Position[] => {
    const view = sight.view!
    return [view.watermark, after(view.newest), floorOf(view, reference.scope.keyspace.name), sight.bounds.granted]
  })
  const leased = leases.flatMap((lease) => (lease ? [lease.answer.required, lease.answer.granted] : []))
  const granted = maxPosition(ORIGIN, ...shown, ...leased)
  const held = kept.map(({ sight }) => sight.cell!.label.high)
  return { granted, required: maxPosition(granted, ...held), demand: seen[0]!.inquiry.terms.demand }
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
