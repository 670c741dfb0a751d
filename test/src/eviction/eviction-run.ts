import { waitUntil } from '@tidemark/local'
import { EvictedKeys } from './evicted-keys.ts'
import type { EvictionReport, Phase } from './eviction-report.ts'
import type { EvictionStage } from './eviction-stage.ts'
import { MissReasons } from './miss-reasons.ts'
import type { Tally } from './tally.ts'
import { type Both, staleAtRest, storedIn } from './two-sides.ts'
import { ViewMoves } from './view-moves.ts'
import { Workload } from './workload.ts'

export interface EvictionOptions {
  readonly policies: readonly string[]
  /** What may be stored in each of the two servers; the dataset is three times as large. */
  readonly roomMb: number
  /** How many reads pass under a policy before they are counted, and how many are. */
  readonly settlingReads: number
  readonly reads: number
  readonly seed: number
}

const TIMEOUT_MS = 900_000

/** The workload under one policy after the other, on servers that are full. */
export async function runEviction(stage: EvictionStage, options: EvictionOptions): Promise<EvictionReport> {
  const { roomMb, seed, policies } = options
  await using workload = await Workload.start(stage, roomMb * 1024 * 1024, seed)
  const { context, rows, sides, readers, writers } = workload
  const servers = Object.values(sides).map(({ server }) => server)
  for (const server of servers) await server.evictBy(policies[0]!)
  const allFull = async () => (await Promise.all(servers.map((server) => server.isFull()))).every((isFull) => isFull)
  await waitUntil('both servers are full', allFull, { timeoutMs: TIMEOUT_MS })
  const phases: Phase[] = []
  for (const policy of policies) phases.push(await measure(workload, policy, options))
  await writers.stop()
  const { falsehoods, failures, fresh } = await readers.stop()
  await context.caughtUp()
  return { roomMb, rows, phases, falsehoods, fresh, refused: failures, staleAtRest: await staleAtRest(context, sides) }
}

/** Under one policy: some reads pass, so that what the one before left is mostly gone, then so many are counted. */
async function measure(
  { context, rows, sides, writers }: Workload,
  policy: string,
  { settlingReads, reads }: EvictionOptions,
): Promise<Phase> {
  const { guarded, bare } = sides
  for (const { server } of [guarded, bare]) await server.evictBy(policy)
  await readOn(guarded.cache.tally, settlingReads)

  using evicted = await EvictedKeys.watch(guarded.server.redis)
  using evictedBare = await EvictedKeys.watch(bare.server.redis)
  await using moves = new ViewMoves(context)
  using misses = new MissReasons(context.source.name)
  const before: Both<Tally> = { guarded: guarded.cache.tally.copy(), bare: bare.cache.tally.copy() }
  const commitsBefore = writers.commits
  const sinceMs = performance.now()
  await readOn(guarded.cache.tally, reads)
  return {
    policy,
    seconds: (performance.now() - sinceMs) / 1000,
    reads: guarded.cache.tally.reads - before.guarded.reads,
    commits: writers.commits - commitsBefore,
    hitRate: {
      guarded: guarded.cache.tally.hitRateSince(before.guarded),
      bare: bare.cache.tally.hitRateSince(before.bare),
    },
    evicted: { guarded: { ...evicted.counts }, bare: { ...evictedBare.counts } },
    ...{ horizons: moves.horizons, gaps: moves.gaps, misses: { ...misses.counts } },
    ...(await storedIn(context, sides, rows)),
  }
}

async function readOn(tally: Tally, count: number): Promise<void> {
  const enough = tally.reads + count
  await waitUntil('enough is read', () => tally.reads >= enough, { timeoutMs: TIMEOUT_MS })
}
