import { isTidemarkError, TidemarkError } from '@tidemark/protocol'
import { inquire, type ReadOptions } from '../read/inquiry.ts'
import type { ReadDoubt } from '../read/judge-loaded.ts'
import type { CacheHost } from '../read/keyspace-scope.ts'
import { lookAtMembers, type Member } from './member.ts'
import type { Reference } from './reference.ts'
import type { Interval } from './snapshot-choice.ts'
import { type Taken, Taking, takeFresh } from './taking.ts'
import { TakingsUnderWay } from './takings-under-way.ts'

export interface SnapshotOptions extends Pick<ReadOptions, 'session' | 'signal' | 'maxStalenessMs'> {
  /** `contract`: what each keyspace promises. `strong`: all are loaded from the primary, in one transaction. */
  readonly consistency?: 'strong' | 'contract'
  /**
   * In place of the contracts'. A contract's `route` is `fail` here: a region that is asked key by key answers with values
   * of several instants.
   */
  readonly whenUnprovable?: 'fail' | 'serve-stale'
}

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

const MAX_REFERENCES = 1_000

/**
 * The values of references at one instant (protocol 2). If cells share a point, they are served; else those that do are
 * kept and the others loaded in one transaction, or all are. If that fails, and the contracts allow it, cells that are
 * not fresh any more and share a point are served as stale.
 */
export class Snapshots {
  readonly #host: CacheHost
  readonly #underWay: TakingsUnderWay

  constructor(host: CacheHost) {
    this.#host = host
    this.#underWay = new TakingsUnderWay(host.timings.readMs)
  }

  async read<const References extends readonly Reference<unknown>[]>(
    references: References,
    options: SnapshotOptions,
  ): Promise<Snapshot<References>> {
    const distinct = new Map(references.map((one) => [one.wanted.key, one]))
    this.#check([...distinct.values()], options)
    try {
      const { readings, ...known } = await this.#host.calls.run(() => this.#take([...distinct.values()], options))
      const values = references.map((one) => readings.get(one.wanted.key)!.value) as ValuesOf<References>
      return { ...known, values }
    } catch (error) {
      const code = isTidemarkError(error) ? error.code : null
      for (const scope of new Set(references.map((one) => one.scope))) scope.emit({ event: 'readFailed', code })
      throw error
    }
  }

  async #take(references: readonly Reference<unknown>[], options: SnapshotOptions): Promise<Taken> {
    const members = await Promise.all(references.map((one) => memberOf(one, options)))
    const { budget } = members[0]!.inquiry
    const seen = await lookAtMembers(members, budget)
    const isAlone = options.session !== undefined || seen.some(({ inquiry }) => inquiry.isBypass)
    return takeFresh(seen) ?? (isAlone ? new Taking(seen).take() : this.#underWay.join(seen, budget))
  }

  #check(references: readonly Reference<unknown>[], { consistency, whenUnprovable }: SnapshotOptions): void {
    const count = references.length
    if (count === 0 || count > MAX_REFERENCES) throw badCount(count)
    // Positions of another source's log are no positions here.
    if (references.some(({ scope }) => scope.host !== this.#host)) throw badOption('a reference is of another Tidemark')
    if (!isOneOf(consistency, ['strong', 'contract'])) throw badOption("consistency is 'strong' or 'contract'")
    if (!isOneOf(whenUnprovable, ['fail', 'serve-stale'])) throw badOption("whenUnprovable is 'fail' or 'serve-stale'")
  }
}

async function memberOf(reference: Reference<unknown>, options: SnapshotOptions): Promise<Member> {
  return { reference, inquiry: await inquire(reference.scope, { ...options, mayRoute: false }) }
}

function isOneOf(option: string | undefined, known: readonly string[]): boolean {
  return option === undefined || known.includes(option)
}

function badCount(count: number): TidemarkError {
  return new TidemarkError('KEY_PARAMS_INVALID', `a snapshot of ${count} keys was asked for`, {
    mend: `Ask for 1 to ${MAX_REFERENCES}`,
  })
}

function badOption(what: string): TidemarkError {
  return new TidemarkError('CONFIG_INVALID', `of a snapshot ${what}`)
}
