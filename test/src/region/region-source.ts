import { defineSource } from '@tidemark/protocol'

/** What a keyspace's value is, loaded or projected. */
export interface Counter {
  readonly n: number
}

const TABLES = { 'public.hot': { id: 'id' } }
const RETAINED = { whenUnprovable: 'serve-stale', retainStaleMs: 60_000 } as const

/**
 * A source whose one table is cached under one contract after the other: a change is an event of each keyspace. The
 * ages are short, so that a region that is cut off is seen to be within seconds.
 */
export function regionSource(name: string) {
  return defineSource({
    name,
    partitions: 8,
    keyPrefix: name,
    clockSkewMs: 200,
    keyspaces: {
      shown: {
        ...{ key: 'shown:{id}', tables: TABLES },
        contract: { ...RETAINED, maxStalenessMs: 2_000, criticality: 'high' },
      },
      exact: { key: 'exact:{id}', tables: TABLES, contract: { maxStalenessMs: 2_000 } },
      refreshed: {
        ...{ key: 'refreshed:{id}', tables: TABLES },
        contract: { ...RETAINED, maxStalenessMs: 10_000, reaction: 'refresh', criticality: 'low' },
      },
      updated: {
        ...{ key: 'updated:{id}', tables: TABLES },
        contract: { maxStalenessMs: 2_000, reaction: 'update' },
        projection: { n: { column: 'n', as: 'number' } },
      },
    },
  })
}

export type RegionSource = ReturnType<typeof regionSource>
export type KeyspaceName = keyof RegionSource['keyspaces']
export const KEYSPACES: readonly KeyspaceName[] = ['shown', 'exact', 'refreshed', 'updated']

/** The rows that are written and read. */
export const IDS: readonly number[] = Array.from({ length: 300 }, (_, i) => i + 1)
