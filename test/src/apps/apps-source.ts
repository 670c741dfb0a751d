import { defineSource } from '@tidemark/protocol'

/** A row: `n` counts its changes, and of two neighbours one has what the other lacks. */
export interface Account {
  readonly n: number
  readonly cents: number
}

const TABLES = { 'public.hot': { id: 'id' } }
const RETAINED = { whenUnprovable: 'serve-stale', retainStaleMs: 60_000 } as const

/** One table under one contract after the other, each with a path through refill that the others do not take. */
export function appsSource(name: string) {
  return defineSource({
    name,
    partitions: 8,
    keyPrefix: name,
    clockSkewMs: 200,
    keyspaces: {
      shown: { key: 'shown:{id}', tables: TABLES, contract: { ...RETAINED, maxStalenessMs: 2_000 } },
      exact: { key: 'exact:{id}', tables: TABLES, contract: { maxStalenessMs: 2_000 } },
      brief: { key: 'brief:{id}', tables: TABLES, contract: { maxStalenessMs: 5_000, ttlMs: 500 } },
      refreshed: {
        ...{ key: 'refreshed:{id}', tables: TABLES },
        contract: { ...RETAINED, maxStalenessMs: 10_000, reaction: 'refresh' },
      },
      updated: {
        ...{ key: 'updated:{id}', tables: TABLES },
        contract: { maxStalenessMs: 2_000, reaction: 'update' },
        projection: { n: { column: 'n', as: 'number' }, cents: { column: 'cents', as: 'number' } },
      },
      direct: { key: 'direct:{id}', tables: TABLES, contract: { maxStalenessMs: 2_000, reaction: 'bypass' } },
    },
  })
}

export type AppsSource = ReturnType<typeof appsSource>
export type KeyspaceName = keyof AppsSource['keyspaces']
export const KEYSPACES: readonly KeyspaceName[] = ['shown', 'exact', 'brief', 'refreshed', 'updated', 'direct']

/** Those whose values lie in Redis. */
export const CACHED = KEYSPACES.filter((name) => name !== 'direct')

/** The rows, in pairs: money goes from one of a pair to the other, so the sum of a pair never changes. */
export const PAIRS: readonly (readonly [number, number])[] = Array.from({ length: 100 }, (_, i) => [
  2 * i + 1,
  2 * i + 2,
])
export const IDS: readonly number[] = PAIRS.flat()
export const PAIR_CENTS = 2_000
