import { setTimeout as sleep } from 'node:timers/promises'
import { Readers } from '../evidence/coherence-check.ts'
import { PipelineContext } from '../pipeline/pipeline-context.ts'
import { Writers } from '../pipeline/writers.ts'
import { randomOf } from '../seeded-random.ts'
import { BareCache } from './bare-cache.ts'
import { CacheServer } from './cache-server.ts'
import type { EvictionStage } from './eviction-stage.ts'
import { GuardedCache } from './guarded-cache.ts'
import type { TwoSides } from './two-sides.ts'
import { MEAN_BYTES } from './weighty-row.ts'
import { zipf } from './zipf.ts'

const TIMES_ROOM = 3
const PARTITIONS = 16
const BEAT_MS = 300
const TTL_MS = 600_000
const SKEW = 0.9
const WRITERS = 2
const PACE_MS = 10

/**
 * One workload on two caches, each with a Redis of its own that has room for a third of the rows: every read asks both
 * for the same row, and every commit is told to the bare one by whoever makes it; Tidemark hears of it from the log.
 * What disturbs the one disturbs the other.
 */
export class Workload implements AsyncDisposable {
  readonly context: PipelineContext
  readonly rows: number
  readonly sides: TwoSides
  readonly readers: Readers
  readonly writers: Writers
  readonly #resources: AsyncDisposableStack

  private constructor(
    { context, rows, sides, readers, writers }: Pick<Workload, 'context' | 'rows' | 'sides' | 'readers' | 'writers'>,
    resources: AsyncDisposableStack,
  ) {
    this.context = context
    this.rows = rows
    this.sides = sides
    this.readers = readers
    this.writers = writers
    this.#resources = resources
  }

  static async start(stage: EvictionStage, roomBytes: number, seed: number): Promise<Workload> {
    await using resources = new AsyncDisposableStack()
    const guardedServer = resources.use(await CacheServer.start('guarded'))
    const bareServer = resources.use(await CacheServer.start('bare'))
    const servers = { primaryUrl: stage.primary.url(), replicaUrl: stage.replica.url(), redisUrl: guardedServer.url }
    const contract = { ttlMs: TTL_MS }
    const context = resources.use(await PipelineContext.open({ servers, partitions: PARTITIONS, contract }))
    const rows = Math.ceil((TIMES_ROOM * roomBytes) / MEAN_BYTES)
    await context.primary.query('insert into hot select n, 0 from generate_series(1, $1) n', [rows])
    context.startPublisher({ beatMs: BEAT_MS })
    context.startWorker()
    await context.caughtUp()
    const guarded = { cache: await GuardedCache.open(context), server: guardedServer }
    const bareCache = new BareCache(bareServer.redis, context.replica, context.name, TTL_MS)
    const sides: TwoSides = { guarded, bare: { cache: bareCache, server: bareServer } }
    for (const { server } of Object.values(sides)) await server.limitTo(roomBytes)
    const readers = await Readers.start(context, {
      nextId: zipf(randomOf(seed), rows, SKEW),
      read: readingBoth(sides),
    })
    const writers = resources.use(writing(context, bareCache, zipf(randomOf(seed + 1), rows, SKEW)))
    return new Workload({ context, rows, sides, readers, writers }, resources.move())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

function readingBoth({ guarded, bare }: TwoSides) {
  let turn = 0
  return async (id: number) => {
    // Neither is always the one whose database connection is warm.
    const bareFirst = turn++ % 2 === 0
    if (bareFirst) await bare.cache.read(id)
    try {
      return await guarded.cache.read(id)
    } finally {
      if (!bareFirst) await bare.cache.read(id)
    }
  }
}

function writing({ primary }: PipelineContext, bare: BareCache, nextId: () => number): Writers {
  return new Writers(WRITERS, async () => {
    const id = nextId()
    await primary.query('update hot set n = n + 1 where id = $1', [id])
    await bare.forget(id)
    await sleep(PACE_MS)
    return true
  })
}
