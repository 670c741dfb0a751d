import fc from 'fast-check'
import { GENERATIONS } from '../keys.ts'

/**
 * One thing that workers, apps or fate do to a partition. Operations say "one below what is required" and not a
 * number, so that a sequence keeps its meaning while fast-check shrinks it.
 */
export type Operation =
  | {
      readonly kind: 'apply'
      readonly from: 'here' | 'above' | 'below'
      readonly epochStart: 'none' | 'new' | 'again' | 'old'
      readonly events: readonly {
        readonly key: string
        readonly at: Step
        readonly retainSteps: number
        readonly updates: boolean
      }[]
      readonly floors: readonly { readonly keyspace: string; readonly at: Step }[]
      readonly watermark: Step | null
    }
  | {
      readonly kind: 'replay'
      readonly epochStart: 'none' | 'new' | 'again' | 'old'
      readonly events: readonly { readonly key: string; readonly at: Step; readonly retainSteps: number }[]
      readonly floors: readonly { readonly keyspace: string; readonly at: Step }[]
    }
  | {
      readonly kind: 'lease'
      readonly key: string
      readonly sees: boolean
      readonly again: boolean
      readonly ttlSteps: number
    }
  | {
      readonly kind: 'fill'
      readonly key: string
      readonly id: Id
      readonly base: 'required' | 'value' | 'log'
      readonly by: number
      readonly width: number
      readonly primary: boolean
      readonly ttlSteps: number
    }
  | { readonly kind: 'require'; readonly keys: readonly string[] }
  | { readonly kind: 'release'; readonly key: string; readonly id: Id }
  | {
      readonly kind: 'declareGap'
      readonly expected: 'what is there' | 'another' | 'nothing'
      readonly skipped: number
      /** That the worker has met elsewhere, relative to the end of the log. */
      readonly epochs: number | null
    }
  | { readonly kind: 'endLease' | 'evictCell'; readonly key: string }
  | { readonly kind: 'evictGeneration'; readonly slot: number }
  | { readonly kind: 'ageGeneration' | 'evictView' | 'flush' }

/** Relative to the end of the log: by how many bytes, and in which epoch. */
export interface Step {
  readonly by: number
  readonly epochs: number
}

/** Whose lease a fill or release names: the one in force, the one before it, or one that never was. */
export type Id = 'held' | 'earlier' | 'foreign'

/** Key → keyspace. Few of each, so that they meet often. */
export const KEYSPACES: Readonly<Record<string, string>> = { a: 'x', b: 'x', c: 'y', d: 'y', e: 'y' }
export const KEYS = Object.keys(KEYSPACES)

const key = fc.constantFrom(...KEYS)
const weighed = <T>(...choices: readonly (readonly [number, T])[]): fc.Arbitrary<T> =>
  fc.oneof(...choices.map(([weight, value]) => ({ weight, arbitrary: fc.constant(value) })))

const step: fc.Arbitrary<Step> = fc.record({
  by: weighed([6, 1], [3, 0], [2, 3], [1, -1], [1, -3]),
  epochs: weighed([60, 0], [1, -1], [1, 1]),
})
const ttlSteps = fc.integer({ min: 1, max: 4 })
const id = weighed<Id>([10, 'held'], [1, 'earlier'], [1, 'foreign'])

const apply = fc.record({
  kind: fc.constant('apply' as const),
  from: weighed<'here' | 'above' | 'below'>([30, 'here'], [1, 'above'], [1, 'below']),
  epochStart: weighed<'none' | 'new' | 'again' | 'old'>([40, 'none'], [1, 'new'], [1, 'again'], [1, 'old']),
  events: fc.array(
    fc.record({
      key,
      at: step,
      retainSteps: weighed([2, 0], [1, 1], [1, 3]),
      updates: weighed([2, false], [1, true]),
    }),
    { maxLength: 4 },
  ),
  floors: weighed([15, 0], [1, 1], [1, 2]).chain((length) =>
    fc.array(fc.record({ keyspace: fc.constantFrom('x', 'y', '*'), at: step }), {
      minLength: length,
      maxLength: length,
    }),
  ),
  watermark: fc.option(step, { freq: 2 }),
})

/** Of what an operator takes from the log; some of it lies beyond what the worker has applied. */
const replay = fc.record({
  kind: fc.constant('replay' as const),
  epochStart: weighed<'none' | 'again' | 'old'>([8, 'none'], [1, 'again'], [1, 'old']),
  events: fc.array(
    fc.record({
      key,
      at: fc.record({ by: fc.integer({ min: -6, max: 2 }), epochs: weighed([30, 0], [2, -1], [1, 1]) }),
      retainSteps: weighed([2, 0], [1, 2]),
    }),
    { maxLength: 4 },
  ),
  floors: fc.array(fc.record({ keyspace: fc.constantFrom('x', 'y', '*'), at: step }), { maxLength: 1 }),
})

const lease = fc.record({
  kind: fc.constant('lease' as const),
  key,
  sees: fc.boolean(),
  again: weighed([8, false], [1, true]),
  ttlSteps,
})
const fill = fc.record({
  kind: fc.constant('fill' as const),
  key,
  id,
  base: weighed<'required' | 'value' | 'log'>([6, 'required'], [2, 'value'], [1, 'log']),
  by: weighed([2, 0], [2, 1], [2, -1], [1, 4], [1, -4]),
  width: fc.nat(3),
  primary: fc.boolean(),
  ttlSteps,
})
const require = fc.record({ kind: fc.constant('require' as const), keys: fc.subarray(KEYS) })
const release = fc.record({ kind: fc.constant('release' as const), key, id })
const declareGap = fc.record({
  kind: fc.constant('declareGap' as const),
  expected: weighed<'what is there' | 'another' | 'nothing'>([2, 'what is there'], [1, 'another'], [1, 'nothing']),
  skipped: fc.nat(3),
  epochs: weighed<number | null>([4, null], [4, 0], [1, -1], [1, 1]),
})

const one = (operation: fc.Arbitrary<Operation>): fc.Arbitrary<Operation[]> => operation.map((o) => [o])

/** A whole load: lease and fill of one key. */
const load = fc.tuple(lease, fill).map(([l, f]): Operation[] => [
  { ...l, sees: true },
  { ...f, key: l.key, id: 'held' },
])

/** How a worker sets a partition going: a gap declared over whatever is there, and a watermark. */
export const RESTART: readonly Operation[] = [
  { kind: 'declareGap', expected: 'what is there', skipped: 1, epochs: null },
  { kind: 'apply', from: 'here', epochStart: 'none', events: [], floors: [], watermark: { by: 1, epochs: 0 } },
]

/** A view is lost, or begins anew, between lease and fill. */
const brokenLoad = fc
  .tuple(load, fc.constantFrom<Operation['kind']>('evictView', 'flush', 'declareGap'))
  .map(([[leased, filled], how]): Operation[] => {
    const breaks = how === 'declareGap' ? RESTART[0]! : ({ kind: how } as Operation)
    return [leased!, breaks, filled!, ...(how === 'declareGap' ? RESTART.slice(1) : RESTART)]
  })

/** Tombstones are evicted between lease and fill. */
const blindLoad = fc
  .tuple(load, fc.nat(GENERATIONS - 1))
  .map(([[leased, filled], slot]): Operation[] => [leased!, { kind: 'evictGeneration', slot }, filled!])

/** Tombstones are evicted, and the next to look writes nothing. */
const blindRequire = fc
  .tuple(fc.nat(GENERATIONS - 1), require)
  .map(([slot, required]): Operation[] => [{ kind: 'evictGeneration', slot }, required])

export const operations: fc.Arbitrary<readonly Operation[]> = fc
  .array(
    fc.oneof(
      { weight: 40, arbitrary: one(apply) },
      { weight: 5, arbitrary: one(replay) },
      { weight: 20, arbitrary: load },
      { weight: 12, arbitrary: one(lease) },
      { weight: 15, arbitrary: one(fill) },
      { weight: 3, arbitrary: one(release) },
      { weight: 4, arbitrary: one(require) },
      { weight: 3, arbitrary: brokenLoad },
      { weight: 2, arbitrary: blindLoad },
      { weight: 1, arbitrary: blindRequire },
      { weight: 3, arbitrary: fc.constant([...RESTART]) },
      { weight: 2, arbitrary: one(declareGap) },
      { weight: 3, arbitrary: one(fc.record({ kind: fc.constantFrom('endLease', 'evictCell'), key })) },
      { weight: 2, arbitrary: one(fc.record({ kind: fc.constant('evictGeneration'), slot: fc.nat(GENERATIONS - 1) })) },
      { weight: 2, arbitrary: one(fc.record({ kind: fc.constant('ageGeneration') })) },
      { weight: 1, arbitrary: one(fc.record({ kind: fc.constantFrom('evictView', 'flush') })) },
    ),
    { maxLength: 250, size: 'max' },
  )
  .map((steps) => [...RESTART, ...steps.flat()])
