import type { Label } from '@tidemark/guard'
import { TidemarkError } from '@tidemark/protocol'
import type { Reading } from '../read/answer.ts'
import type { Budget } from '../read/budget.ts'
import type { Brought } from '../read/flights.ts'
import { inquire, type ReadOptions } from '../read/inquiry.ts'
import { judgeLoaded, type ReadDoubt } from '../read/judge-loaded.ts'
import { loadTogether } from './load-together.ts'
import { handedOver, holdAllOver, lookAtMembers, type Member, type SeenMember } from './member.ts'
import type { Reference } from './reference.ts'
import { choosePoint, type Interval } from './snapshot-choice.ts'

export type SnapshotOptions = Pick<ReadOptions, 'session' | 'signal' | 'maxStalenessMs'>

type ValuesOf<References extends readonly Reference<unknown>[]> = {
  -readonly [I in keyof References]: References[I] extends Reference<infer Value> ? Value : never
}

/** Values that were all true at one instant. */
export interface Snapshot<References extends readonly Reference<unknown>[] = readonly Reference<unknown>[]> {
  readonly values: ValuesOf<References>
  /** The instant is not before `low` and not after `high`; null when all were loaded where nobody can say. */
  readonly position: Interval | null
  /** `stale`: of one instant, but not shown to be recent enough for some contract; `doubt` says why. */
  readonly freshness: 'fresh' | 'stale'
  readonly doubt: ReadDoubt | null
  /** `redis` when nothing was loaded, else where the rest came from. */
  readonly from: string
  /** How many of the keys were loaded. */
  readonly loaded: number
}

type Taken = Omit<Snapshot, 'values'> & { readonly readings: ReadonlyMap<string, Reading<unknown>> }
type Arrived = Brought<unknown> & { readonly code: 'loaded' }

const MAX_REFERENCES = 1_000
const FRESH = { freshness: 'fresh', doubt: null } as const

/**
 * The values of the references at one instant (protocol 2). If cells share a point, they are served; else those that do
 * are kept and the others loaded in one transaction, if what is kept turns out to be exact over all of that load's label;
 * else all are loaded in one transaction, which is of one instant by itself.
 */
export async function readSnapshot<const References extends readonly Reference<unknown>[]>(
  references: References,
  options: SnapshotOptions,
): Promise<Snapshot<References>> {
  const distinct = [...new Map(references.map((one) => [one.wanted.key, one])).values()]
  if (distinct.length === 0 || distinct.length > MAX_REFERENCES) throw badCount(distinct.length)
  const members = await Promise.all(
    distinct.map(async (reference) => ({
      reference,
      inquiry: await inquire(reference.scope, { ...options, mayRoute: false }),
    })),
  )
  const { readings, ...known } = await take(members)
  const values = references.map((one) => readings.get(one.wanted.key)!.value) as ValuesOf<References>
  return { ...known, values }
}

async function take(members: readonly Member[]): Promise<Taken> {
  const { budget, watermarkDeadline } = members[0]!.inquiry
  const { pollMs } = members[0]!.reference.scope.host.timings
  // Ends: a round more is waited for until watermarkDeadline at most.
  for (;;) {
    const seen = await lookAtMembers(members)
    const choice = choosePoint(seen.map(({ exact }) => exact))
    const kept = choice?.kept.map((i) => seen[i]!) ?? []
    if (kept.length === seen.length) {
      const readings = handOver(seen)
      if (readings) return { readings, position: choice!.shared, ...FRESH, from: 'redis', loaded: 0 }
    }
    const mayWait = performance.now() < watermarkDeadline && !budget.isOver
    // All is there, and only watermarks differ: a look costs less than a load.
    const isThere = seen.every(({ doubt }) => doubt === null || doubt === 'behind-session')
    const taken = mayWait && isThere ? null : await complete(seen, kept, { budget, mayWait })
    if (taken) return taken
    await budget.pause(pollMs)
  }
}

interface Patience {
  readonly budget: Budget
  /** Whether there is time for another round. */
  readonly mayWait: boolean
}

/** Null when another round may show what this one cannot. */
async function complete(
  seen: readonly SeenMember[],
  kept: readonly SeenMember[],
  { budget, mayWait }: Patience,
): Promise<Taken | null> {
  const missing = seen.filter((member) => !kept.includes(member))
  if (kept.length > 0 && missing.length > 0) {
    const brought = await arrived(missing, kept, budget)
    const { label } = brought[0]!.loaded
    const beside = label && (await heldOver(kept, label, budget))
    if (beside) return ended(missing, brought, beside, mayWait)
  }
  const all = kept.length === 0 ? seen : await lookAtMembers(seen)
  return ended(all, await arrived(all, [], budget), new Map(), mayWait)
}

/** What is kept, once it is exact over all of the load's label; null when it never will be, or not in time. */
async function heldOver(kept: readonly SeenMember[], label: Label, budget: Budget) {
  const { pollMs, watermarkWaitMs } = kept[0]!.reference.scope.host.timings
  const deadline = performance.now() + watermarkWaitMs
  // Ends: the watermark comes within watermarkWaitMs or is waited for no more.
  for (let now = kept; ; now = await lookAtMembers(kept)) {
    const holds = holdAllOver(now, label)
    if (holds === 'now') return handOver(now)
    if (holds === 'never' || performance.now() >= deadline || budget.isOver) return null
    await budget.pause(pollMs)
  }
}

function handOver(seen: readonly SeenMember[]): Map<string, Reading<unknown>> | null {
  const readings = new Map<string, Reading<unknown>>()
  for (const member of seen) {
    const reading = handedOver(member)
    if (reading === null) return null
    readings.set(member.reference.wanted.key, reading)
  }
  return readings
}

async function arrived(members: readonly SeenMember[], kept: readonly SeenMember[], budget: Budget) {
  let brought: Brought<unknown>[]
  try {
    brought = await loadTogether(members, kept, budget)
  } catch (error) {
    throw await asAnswered(members[0]!, error)
  }
  return Promise.all(
    brought.map(async (one, i): Promise<Arrived> => {
      if (one.code === 'loaded') return one
      throw await asAnswered(members[i]!, one.code === 'failed' ? one.error : new Error(one.why))
    }),
  )
}

/** By contract, but for what is retained: it would be of another instant. */
async function asAnswered({ reference, inquiry, doubt }: SeenMember, error: unknown): Promise<unknown> {
  inquiry.budget.signal?.throwIfAborted()
  const unproven = { wanted: reference.wanted, cell: null, doubt: doubt ?? 'absent' } as const
  return reference.answers.failed(inquiry, unproven, error).then(
    () => error,
    (answered: unknown) => answered,
  )
}

/** Judges what was loaded, each by its own contract. */
async function ended(
  members: readonly SeenMember[],
  brought: readonly Arrived[],
  beside: ReadonlyMap<string, Reading<unknown>>,
  mayWait: boolean,
): Promise<Taken | null> {
  const verdicts = members.map(({ reference, inquiry }, i) => {
    const terms = { ...inquiry.terms, announcedEpoch: reference.scope.host.announced.newest }
    return judgeLoaded(brought[i]!.view, brought[i]!.loaded, terms, Date.now())
  })
  const doubt = verdicts.flatMap((verdict) => (verdict.fresh ? [] : [verdict.doubt]))[0] ?? null
  // A watermark is about to come; or a dependency that was first named by the load requires more of it.
  if (mayWait && (doubt === 'behind-session' || doubt === 'floor')) return null
  const readings = new Map(beside)
  for (const [i, { reference, inquiry, doubt: miss }] of members.entries()) {
    const { wanted, answers } = reference
    const verdict = verdicts[i]!
    const reading = verdict.fresh
      ? answers.loaded(inquiry, brought[i]!, verdict.position, miss ?? 'absent')
      : await answers.unshown(inquiry, { wanted, cell: null, doubt: verdict.doubt }, brought[i]!)
    readings.set(wanted.key, reading)
  }
  const { loaded, from } = brought[0]!
  const freshness = doubt === null ? 'fresh' : 'stale'
  return { readings, position: loaded.label, freshness, doubt, from, loaded: members.length }
}

function badCount(count: number): TidemarkError {
  return new TidemarkError('KEY_PARAMS_INVALID', `a snapshot of ${count} keys was asked for`, {
    mend: `Ask for 1 to ${MAX_REFERENCES}`,
  })
}
