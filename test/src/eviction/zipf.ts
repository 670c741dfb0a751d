import type { Random } from '../seeded-random.ts'

/** Numbers from 1 to `count`, the k-th of them as often as 1 / k^skew says: what is asked for in a shop. */
export function zipf(random: Random, count: number, skew: number): () => number {
  const upTo = new Float64Array(count)
  let sum = 0
  for (let k = 1; k <= count; k++) {
    sum += k ** -skew
    upTo[k - 1] = sum
  }
  return () => firstAbove(upTo, random() * sum) + 1
}

/** Index of the first number above `value`, of numbers that grow; the last one's when none is. */
function firstAbove(growing: Float64Array, value: number): number {
  let [from, to] = [0, growing.length - 1]
  while (from < to) {
    const middle = (from + to) >> 1
    if (growing[middle]! > value) to = middle
    else from = middle + 1
  }
  return from
}
