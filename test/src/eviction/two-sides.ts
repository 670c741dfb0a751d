import { partitionKeys } from '@tidemark/guard'
import type { PipelineContext } from '../pipeline/pipeline-context.ts'
import type { BareCache } from './bare-cache.ts'
import type { CacheServer } from './cache-server.ts'
import type { GuardedCache } from './guarded-cache.ts'

/** The same of Tidemark and of the bare cache. */
export interface Both<T> {
  readonly guarded: T
  readonly bare: T
}

interface Side<Cache> {
  readonly cache: Cache
  readonly server: CacheServer
}

export interface TwoSides {
  readonly guarded: Side<GuardedCache>
  readonly bare: Side<BareCache>
}

export interface Stored {
  /** Rows that are cached, and the mean of what Redis says that one takes, of those that both have. */
  readonly entries: Both<number>
  readonly bytesPerEntry: Both<number>
  /** What Tidemark's views and tombstones take. */
  readonly overheadBytes: number
}

const AT_ONCE = 500

/** What is stored on either side, whoever reads and writes meanwhile. */
export async function storedIn(context: PipelineContext, sides: TwoSides, rows: number): Promise<Stored> {
  const ids = Array.from({ length: rows }, (_, i) => i + 1)
  const usages = await inTurns(ids, async (id) => ({
    guarded: await usageOf(sides.guarded, id),
    bare: await usageOf(sides.bare, id),
  }))
  const inBoth = usages.filter(({ guarded, bare }) => guarded > 0 && bare > 0)
  const meanOf = (side: keyof TwoSides) => inBoth.reduce((sum, usage) => sum + usage[side], 0) / inBoth.length
  const countOf = (side: keyof TwoSides) => usages.filter((usage) => usage[side] > 0).length
  return {
    entries: { guarded: countOf('guarded'), bare: countOf('bare') },
    bytesPerEntry: { guarded: meanOf('guarded'), bare: meanOf('bare') },
    overheadBytes: await overheadOf(context, sides.guarded.server),
  }
}

/** How many cached values are not their row's, when all is applied and nobody writes. */
export async function staleAtRest(context: PipelineContext, sides: TwoSides): Promise<Both<number>> {
  const { rows } = await context.primary.query<{ id: number; n: string }>('select id, n from hot')
  const staleIn = async ({ cache }: Side<GuardedCache | BareCache>) => {
    const found = await inTurns(rows, async ({ id, n }) => {
      const cached = await cache.cached(id)
      return cached !== undefined && cached !== Number(n)
    })
    return found.filter((isStale) => isStale).length
  }
  return { guarded: await staleIn(sides.guarded), bare: await staleIn(sides.bare) }
}

async function overheadOf({ source }: PipelineContext, server: CacheServer): Promise<number> {
  const partitions = Array.from({ length: source.partitions }, (_, p) => partitionKeys(source.keyPrefix, p))
  const keys = partitions.flatMap(({ view, generations }) => [view, ...generations])
  const usages = await Promise.all(keys.map((key) => server.usageOf(key)))
  return usages.reduce((sum, bytes) => sum + bytes, 0)
}

function usageOf({ cache, server }: Side<GuardedCache | BareCache>, id: number): Promise<number> {
  return server.usageOf(cache.keyOf(id))
}

async function inTurns<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < all.length; at += AT_ONCE) {
    results.push(...(await Promise.all(all.slice(at, at + AT_ONCE).map(work))))
  }
  return results
}
