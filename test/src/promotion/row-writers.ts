import { setTimeout as sleep } from 'node:timers/promises'
import { Writers } from '../pipeline/writers.ts'
import type { PrimaryServer } from './primary-server.ts'
import type { PromotionContext } from './promotion-context.ts'

const PAUSE_MS = 5

/** Writes to the rows of one primary, each value once and in the order of its growth. */
export function rowWriters(context: PromotionContext, primary: PrimaryServer, ids: readonly number[]): Writers {
  // One writer a row: two could commit in another order than that of their values.
  const half = Math.ceil(ids.length / 2)
  const turns = [ids.slice(0, half), ids.slice(half)].map(inTurn)
  return new Writers(turns.length, async (writer) => {
    const values = [context.nextValue(primary), turns[writer]!.next().value]
    // A server that is killed under its writers is what some tests do; the next statement shows whether it is back.
    const result = await primary.pool.query('update hot set n = $1 where id = $2', values).catch(() => undefined)
    await sleep(PAUSE_MS)
    return result !== undefined
  })
}

/** One after the other, again and again. */
function* inTurn(ids: readonly number[]): Generator<number, never> {
  for (;;) yield* ids
}
