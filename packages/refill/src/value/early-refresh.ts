/** When a value was stored and how dear its load was (payload.ts), and how long it is good for; all in ms. */
export interface Ageing {
  readonly storedAt: number
  readonly costMs: number
  /** From `storedAt` on. */
  readonly lifeMs: number
  /** β: 0 never refreshes before the time is over, more than 1 earlier than the law's own. */
  readonly beta: number
}

/**
 * Whether a reader should load a value anew that is still good: XFetch, `now − δ·β·ln(rand) ≥ expiry` (Vattani,
 * Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015). Each reader throws a die of
 * its own, so that one of many does before the end and no lock is needed to agree on who; a value that is dear to load
 * is begun on sooner. The chance that a reader is due, `e^(−(expiry − now) / (δ·β))`, rises to one at the expiry. Pure.
 *
 * @param now ms since 1970
 * @param random in [0, 1), one for each read
 */
export function isDue({ storedAt, costMs, lifeMs, beta }: Ageing, now: number, random: number): boolean {
  // 1 − random is in (0, 1]: the logarithm of 0 would be due at any age.
  const aheadMs = -costMs * beta * Math.log(1 - random)
  return now + aheadMs >= storedAt + lifeMs
}
