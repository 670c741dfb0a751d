import { setTimeout as sleep } from 'node:timers/promises'
import type { ShopContext } from './shop-context.ts'

const BEAT_MS = 10

/** What the call answers while watermarks keep coming, one after another. */
export async function whileBeating<T>(shop: ShopContext, call: Promise<T>): Promise<T> {
  let isOver = false
  const answer = call.finally(() => {
    isOver = true
  })
  answer.catch(() => undefined) // it is awaited below
  // Ends with the call, which has bounds of its own.
  while (!isOver) {
    await shop.beat()
    await sleep(BEAT_MS)
  }
  return answer
}
