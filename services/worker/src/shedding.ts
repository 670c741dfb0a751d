import type { Guard } from '@tidemark/guard'
import { isRedisError } from '@tidemark/redis'
import type { Logger } from '@tidemark/service'
import type { WorkerMetrics } from '@tidemark/telemetry'
import type { Surroundings } from './partition-applier.ts'

/** While Redis stays full room is made at nearly every batch. */
const TELL_INTERVAL_MS = 60_000

export interface SheddingOptions {
  readonly partition: number
  readonly guard: Pick<Guard, 'apply' | 'declareGap' | 'shed' | 'view'>
  readonly metrics: Pick<WorkerMetrics, 'shed'>
  readonly log: Logger
}

/**
 * A partition's guard in a Redis that may be full. Where it is, room is made of what Redis might evict itself: first the
 * cells of the keys that changed, which nobody may be served as fresh once the batch is applied, then old tombstones.
 * After each the command is tried again; what it throws when neither helped is for the caller, whose view grows old.
 */
export function sheddingGuard({ partition, guard, metrics, log }: SheddingOptions): Surroundings['guard'] {
  let toldMs = Number.NEGATIVE_INFINITY
  const shed = async (what: 'cells' | 'tombstones', keys: readonly string[]) => {
    const dropped = await guard.shed(keys, what === 'tombstones')
    metrics.shed(what, dropped)
    // Once there is nothing left, whoever tries again reports it with the outage's length.
    if (dropped === 0 || performance.now() - toldMs < TELL_INTERVAL_MS) return
    toldMs = performance.now()
    log.error({ partition, what, dropped }, 'Redis is full: dropping what it would not evict by itself')
  }
  const withRoom = async <T>(keys: readonly string[], run: () => Promise<T>): Promise<T> => {
    try {
      return await run()
    } catch (error) {
      throwUnlessFull(error)
    }
    await shed('cells', keys)
    try {
      return await run()
    } catch (error) {
      throwUnlessFull(error)
    }
    await shed('tombstones', [])
    return run()
  }
  return {
    view: () => guard.view(),
    apply: (batch, limits) =>
      withRoom(
        batch.events.map((event) => event.key),
        () => guard.apply(batch, limits),
      ),
    declareGap: (...args) => withRoom([], () => guard.declareGap(...args)),
  }
}

function throwUnlessFull(error: unknown): void {
  if (!isRedisError(error, 'full')) throw error
}
