import { AssertionError } from 'node:assert'
import { floorOf, type Label } from '@tidemark/guard'
import { isTidemarkError, maxPosition, ORIGIN, type Position, satisfies } from '@tidemark/protocol'
import type { Reading } from '../read/answer.ts'
import type { Budget } from '../read/budget.ts'
import { judgeLoaded, type LoadVerdict, type ReadDoubt } from '../read/judge-loaded.ts'
import type { Loaded } from '../sources/labelled-load.ts'
import type { Timings } from '../timings.ts'
import { type Arrived, loadTogether, type NotLoaded, needOf } from './load-together.ts'
import { handOver, holdAllOver, lookAtMembers, type SeenMember } from './member.ts'
import { choosePoint, type Interval, sharedByAll } from './snapshot-choice.ts'

/** What a snapshot is made of, and what is known of it. */
export interface Taken {
  readonly readings: ReadonlyMap<string, Reading<unknown>>
  readonly position: Interval | null
  readonly freshness: 'fresh' | 'stale'
  readonly doubt: ReadDoubt | null
  readonly from: string
  readonly loaded: number
}

const REDIS = { from: 'redis', loaded: 0 } as const

/** What is fresh in Redis and of one instant; null when that is not all. */
export function takeFresh(seen: readonly SeenMember[]): Taken | null {
  const position = sharedByAll(seen.map(({ doubt, exact }) => (doubt === null ? exact : null)))
  const readings = position && handOver(seen)
  return readings && { readings, position, freshness: 'fresh', doubt: null, ...REDIS }
}

/** In place of what could not be loaded: of one older instant, where each contract lets what is there stand in. */
function takeOlder(seen: readonly SeenMember[]): Taken | null {
  const isAllowed = seen.every(
    ({ doubt, inquiry, reference }) => doubt === null || reference.answers.mayStandIn(inquiry),
  )
  const position = isAllowed ? sharedByAll(seen.map(({ exact }) => exact)) : null
  const readings = position && handOver(seen)
  if (!readings) return null
  const doubt = seen.find((member) => member.doubt !== null)?.doubt ?? null
  return { readings, position, freshness: 'stale', doubt, ...REDIS }
}

/** The call's time is over: by contract. */
export async function takeLate(seen: readonly SeenMember[]): Promise<Taken> {
  const { reference, inquiry } = seen.find(({ doubt }) => doubt !== null) ?? seen[0]!
  return takeOlder(seen) ?? thrown(reference.answers.outOfTime(inquiry, { wanted: reference.wanted, cell: null }))
}

/**
 * Rounds of a look and, where that does not do, of a load: what shares most is kept and the rest loaded in one
 * transaction, if what is kept turns out to be exact over all of that load's label; else all are loaded in one.
 */
export class Taking {
  readonly #first: readonly SeenMember[]
  readonly #budget: Budget
  readonly #leaseDeadline: number
  readonly #timings: Timings
  /** From when a watermark was first waited for. */
  #watermarkDeadline: number | null = null
  #waitsForLease = false
  /** What was kept did not hold beside a load: the next one is of all. */
  #loadsAll = false
  /** What a load brought was behind the session. */
  #wasBehind = false
  /** What loads have taught of dependencies that no cell names yet. */
  #learned = ORIGIN

  /** @param first what was seen of them already */
  constructor(first: readonly SeenMember[]) {
    const { inquiry, reference } = first[0]!
    this.#first = first
    this.#budget = inquiry.budget
    this.#leaseDeadline = inquiry.leaseDeadline
    this.#timings = reference.scope.host.timings
  }

  /** Ends: another round waits for a lease or a watermark, which both have deadlines, and no round is beyond the budget. */
  async take(): Promise<Taken> {
    for (let seen = this.#first; ; seen = await lookAtMembers(this.#first, this.#budget)) {
      const taken = takeFresh(seen) ?? (await this.#completed(seen))
      if (taken) return taken
      await this.#budget.pause(this.#timings.pollMs)
      if (this.#budget.isOver) return takeLate(seen)
    }
  }

  /** Null when another round may show what this one cannot. */
  async #completed(seen: readonly SeenMember[]): Promise<Taken | null> {
    if (this.#comesByItself(seen) && this.#mayAwaitWatermark()) return null
    const kept = this.#loadsAll ? [] : mostOfOneInstant(seen)
    const missing = seen.filter((member) => !kept.includes(member))
    const mayWait = performance.now() < this.#leaseDeadline
    const got = await loadTogether(missing, kept, { budget: this.#budget, mayWait, atLeast: this.#learned })
    if (got.code !== 'loaded') return this.#unloaded(got, seen)
    const beside = await this.#heldOver(kept, got.brought[0]!.loaded.label)
    this.#loadsAll = beside === null
    return beside && this.#ended(missing, got.brought, beside)
  }

  /** All is there and only watermarks differ, or the primary cannot show yet what the session saw: then a look will do. */
  #comesByItself(seen: readonly SeenMember[]): boolean {
    if (seen.every(({ doubt }) => doubt === null || doubt === 'behind-session')) return true
    if (!this.#wasBehind && seen.every(({ inquiry }) => !inquiry.isBypass)) return false
    const need = needOf(seen, [], this.#learned)
    return need !== null && need.demand !== null && !satisfies(need.granted, need.demand.seen)
  }

  #mayAwaitWatermark(): boolean {
    this.#watermarkDeadline ??= performance.now() + this.#timings.watermarkWaitMs
    return performance.now() < this.#watermarkDeadline
  }

  /** What is kept, once it is exact over all of the load's label; null when it never will be, or not in time. */
  async #heldOver(kept: readonly SeenMember[], label: Label | null): Promise<Map<string, Reading<unknown>> | null> {
    if (kept.length === 0) return new Map()
    // Ends: the watermark comes in time or is waited for no more.
    for (let now = kept; label !== null; now = await lookAtMembers(kept, this.#budget)) {
      const holds = holdAllOver(now, label)
      if (holds === 'now') return handOver(now)
      if (holds === 'never' || !this.#mayAwaitWatermark() || this.#budget.isOver) break
      await this.#budget.pause(this.#timings.pollMs)
    }
    return null
  }

  async #unloaded(got: NotLoaded, seen: readonly SeenMember[]): Promise<Taken | null> {
    const { reference, inquiry, doubt } = got.member
    if (got.code === 'busy') {
      if (!this.#waitsForLease) reference.scope.emit({ event: 'leaseWait' })
      this.#waitsForLease = true
      return null
    }
    this.#budget.signal?.throwIfAborted()
    if (isTidemarkError(got.error)) throw got.error
    if (this.#budget.isOver) return takeLate(seen)
    const unproven = { wanted: reference.wanted, cell: null, doubt: doubt ?? 'absent' } as const
    return takeOlder(seen) ?? thrown(reference.answers.failed(inquiry, unproven, got.error))
  }

  /** Judges what was loaded, each by its own contract. */
  async #ended(
    members: readonly SeenMember[],
    brought: readonly Arrived[],
    beside: ReadonlyMap<string, Reading<unknown>>,
  ): Promise<Taken | null> {
    const verdicts = members.map((member, i) => verdictOn(member, brought[i]!))
    const { loaded, from } = brought[0]!
    const doubt = verdicts.flatMap((verdict) => (verdict.fresh ? [] : [verdict.doubt]))[0] ?? null
    if (mayPass(doubt, loaded) && this.#mayAwaitWatermark()) {
      this.#wasBehind ||= doubt === 'behind-session'
      this.#learned = maxPosition(this.#learned, ...members.map((member, i) => floorUnder(member, brought[i]!)))
      return null
    }
    const readings = new Map(beside)
    for (const [i, { reference, inquiry, doubt: miss }] of members.entries()) {
      const { wanted, answers } = reference
      const [verdict, one] = [verdicts[i]!, brought[i]!]
      const reading = verdict.fresh
        ? answers.loaded(inquiry, one, verdict.position, miss ?? 'absent')
        : await answers.unshown(inquiry, { wanted, cell: null, doubt: verdict.doubt }, one)
      readings.set(wanted.key, reading)
    }
    const freshness = doubt === null ? 'fresh' : 'stale'
    return { readings, position: loaded.label, freshness, doubt, from, loaded: members.length }
  }
}

/** Of one that is in doubt nothing is kept, and without all views nothing can be shown of what is. */
function mostOfOneInstant(seen: readonly SeenMember[]): readonly SeenMember[] {
  if (needOf(seen, [], ORIGIN) === null) return []
  const choice = choosePoint(seen.map(({ doubt, exact }) => (doubt === null ? exact : null)))
  // All that share a point and yet are not handed over cannot be decoded.
  return choice === null || choice.kept.length === seen.length ? [] : choice.kept.map((i) => seen[i]!)
}

function verdictOn({ reference, inquiry }: SeenMember, { view, loaded }: Arrived): LoadVerdict {
  const terms = { ...inquiry.terms, announcedEpoch: reference.scope.host.announced.newest }
  return judgeLoaded(view, loaded, terms, Date.now())
}

function floorUnder({ reference }: SeenMember, { view }: Arrived): Position {
  return view === null ? ORIGIN : floorOf(view, reference.scope.keyspace.name)
}

/** Whether another round may show a labelled load to be fresh, or bring one that is. */
function mayPass(doubt: ReadDoubt | null, { label, loadedAt }: Loaded<unknown>): boolean {
  if (label === null) return false
  switch (doubt) {
    case 'behind-session': // the watermark is about to come
    case 'floor': // a dependency that the load was the first to name requires more of it
      return true
    case 'too-old': // the beat grew old while a replica answered; it is not asked again, and the primary's load is new
      return loadedAt === null
    default:
      return false
  }
}

/** For answers that without a cell and without a route can only be errors. */
async function thrown(answer: Promise<unknown>): Promise<never> {
  await answer
  throw new AssertionError({ message: 'there was nothing to answer with' })
}
