import { setTimeout as sleep } from 'node:timers/promises'
import { offsetOf } from '@tidemark/guard'
import { TcpProxy, waitUntil } from '@tidemark/local'
import { record } from '../../../services/worker/src/testing/record-words.ts'
import { RegionContext } from '../../../services/worker/src/testing/region-context.ts'
import { WorkerProcess } from '../../../services/worker/src/testing/worker-process.ts'
import { ResidentMemory } from '../bulk/resident-memory.ts'

const PARTITIONS = [0, 1, 2, 3]
const CHUNK_BYTES = 400_000
/** A line on which a batch takes up to a second. */
const SLOW = { bytesPerSecond: 1_000_000, delayMs: 20 }
/** So impatient that a long phase sees many clients of Kafka, each with what it had fetched. */
const IMPATIENT = { TIDEMARK_REDIS_TIMEOUT_MS: '2000', TIDEMARK_REDIS_PATIENCE_MS: '2000' }
const TIMEOUT_MS = 600_000

/** What the fetch in hand may take. */
export const MAX_HELD_UP_GROWTH_MB = 32
/** What V8 takes at full speed before it collects: no more for two million records than for forty thousand. */
export const MAX_CATCH_UP_GROWTH_MB = 192

export interface Backlog {
  readonly records: number
  readonly keyBytes: number
  /** How long Redis is slow, and then silent. */
  readonly phaseMs: number
}

/** The worker's resident memory, at most, in each phase. */
export interface BackPressureReport {
  /** What waited in Kafka, by the bytes of its keys alone. */
  readonly waitingMb: number
  readonly appliedWhileSlow: number
  readonly idleMb: number
  readonly slowMb: number
  readonly silentMb: number
  readonly catchUpMb: number
  readonly catchUpSeconds: number
}

/**
 * Lets records pile up in Kafka while the region's Redis is slow, then silent, and then lets the worker catch up.
 * Throws when a record was skipped: a gap would show as a floor.
 */
export async function backPressure({ records, keyBytes, phaseMs }: Backlog): Promise<BackPressureReport> {
  await using ctx = await RegionContext.open({ partitions: PARTITIONS.length })
  await using line = await TcpProxy.start(ctx.server.port)
  const env = { ...IMPATIENT, TIDEMARK_REDIS_URL: `redis://127.0.0.1:${line.port}` }
  await using worker = await WorkerProcess.start(ctx, env)
  for (const p of PARTITIONS) await ctx.untilTrusted(record.watermark(1), p)
  using memory = new ResidentMemory(worker.pid)
  // Warm: what the process takes for work that nobody holds up is no growth.
  await untilApplied(ctx, await publish(ctx, records / 10, keyBytes))
  const idleMb = memory.takePeakMb()

  line.slow(SLOW)
  const ends = await publish(ctx, records, keyBytes)
  const before = await left(ctx, ends)
  await sleep(phaseMs)
  const [slowMb, appliedWhileSlow] = [memory.takePeakMb(), before - (await left(ctx, ends))]
  await line.restore()
  line.silence()
  await sleep(phaseMs)
  const silentMb = memory.takePeakMb()
  await line.restore()
  const startedMs = performance.now()
  await untilApplied(ctx, ends)
  const catchUpSeconds = Math.round((performance.now() - startedMs) / 100) / 10
  await nothingWasSkipped(ctx)
  const waitingMb = Math.round((records * keyBytes) / 1024 ** 2)
  return { waitingMb, appliedWhileSlow, idleMb, slowMb, silentMb, catchUpMb: memory.takePeakMb(), catchUpSeconds }
}

/** Returns where each partition ends. */
async function publish(ctx: RegionContext, records: number, keyBytes: number): Promise<Map<number, bigint>> {
  const each = Math.ceil(records / PARTITIONS.length)
  const perChunk = Math.ceil(CHUNK_BYTES / keyBytes)
  const ends = PARTITIONS.map(async (partition) => {
    for (let i = 0; i < each; i += perChunk) {
      const keys = Array.from({ length: Math.min(perChunk, each - i) }, (_, j) =>
        `product:${i + j}`.padEnd(keyBytes, 'x'),
      )
      await ctx.publish(partition, ...keys.map((key, j) => record.event(key, 2 + i + j)))
    }
    return [partition, (await ctx.publish(partition, record.watermark(each + 2))) + 1n] as const
  })
  return new Map(await Promise.all(ends))
}

/** Records that are not applied yet. */
async function left(ctx: RegionContext, ends: ReadonlyMap<number, bigint>): Promise<number> {
  let records = 0
  for (const [partition, end] of ends) records += Number(end - offsetOf((await ctx.view(partition))!))
  return records
}

async function untilApplied(ctx: RegionContext, ends: ReadonlyMap<number, bigint>): Promise<void> {
  await waitUntil('all is applied', async () => (await left(ctx, ends)) <= 0, { timeoutMs: TIMEOUT_MS, everyMs: 100 })
}

async function nothingWasSkipped(ctx: RegionContext): Promise<void> {
  const trusted = JSON.stringify({ '*': record.watermark(1).position })
  for (const partition of PARTITIONS) {
    const view = await ctx.view(partition)
    if (view?.gap !== undefined || JSON.stringify(view?.floors) !== trusted) throw new Error('there was a gap')
  }
}
