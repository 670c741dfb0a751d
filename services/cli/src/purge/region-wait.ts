import { setTimeout as sleep } from 'node:timers/promises'
import { decodeView, partitionKeys, type RedisClient, type View } from '@tidemark/guard'
import type { Position, Source } from '@tidemark/protocol'
import { redactUrls } from '@tidemark/service'
import { durationText } from '../amount.ts'
import { positionText } from '../position-text.ts'

/** What has become of an invalidation in a region. */
export type Applied = { readonly afterMs: number } | { readonly lacking: readonly string[] }

const LOOK_MS = 100

/** Waits until the views of the partitions have passed the position, for at most `waitMs`; then says which have not. */
export async function untilApplied(
  redis: RedisClient,
  source: Source,
  partitions: readonly number[],
  at: Position,
  waitMs: number,
): Promise<Applied> {
  const startedMs = performance.now()
  for (;;) {
    const lacking = await lackingIn(redis, source, partitions, at)
    const passedMs = performance.now() - startedMs
    if (lacking.length === 0) return { afterMs: Math.round(passedMs) }
    if (passedMs >= waitMs) return { lacking }
    await sleep(Math.min(LOOK_MS, waitMs - passedMs))
  }
}

async function lackingIn(redis: RedisClient, { keyPrefix }: Source, partitions: readonly number[], at: Position) {
  try {
    const views = await Promise.all(
      partitions.map(async (partition) => {
        // One command for each: in a cluster the partitions lie in different slots.
        const [raw] = await redis.mgetBuffer(partitionKeys(keyPrefix, partition).view)
        return { partition, view: decodeView(raw ?? null) }
      }),
    )
    return views.flatMap(({ partition, view }) => lackText(partition, view, at, Date.now()) ?? [])
  } catch (error) {
    // It may come back before the time is over.
    return [redactUrls(error instanceof Error ? error.message : String(error))]
  }
}

/** Why a partition cannot be said to have applied it; undefined when it has. */
export function lackText(partition: number, view: View | null, at: Position, nowMs: number): string | undefined {
  if (view === null) return `partition ${partition} has no view: no worker has been here`
  if (view.gap !== undefined) return `partition ${partition} is in a gap (${view.gap})`
  if (view.watermark >= at) return undefined
  const age = durationText(Math.max(0, nowMs - view.beat))
  return `partition ${partition} stands at ${positionText(view.watermark)}, its last beat ${age} ago`
}
