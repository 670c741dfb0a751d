import type { Payload } from '@tidemark/guard'
import type { Contract } from '@tidemark/protocol'

type Stored = Pick<Payload, 'storedAt' | 'costMs'>
type Life = Pick<Contract, 'ttlMs' | 'softTtlMs' | 'negativeTtlMs' | 'earlyRefresh'>

/**
 * From when on a reader should load a value anew that is still good, in ms since 1970: XFetch,
 * `now − δ·β·ln(rand) ≥ expiry` (Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention",
 * VLDB 2015), solved for `now`. δ is what the load took, β the contract's `earlyRefresh`, and the expiry that of the soft
 * TTL where there is one. Each reader throws a die of its own, so that one of many begins before the end, and nobody has to
 * agree on who; what is dear to load is begun on sooner. The chance to be due rises as `e^(−left / (δ·β))` to one. Pure.
 *
 * @param random in [0, 1), one for each read
 */
export function dueAt({ storedAt, costMs }: Stored, life: Life, isNegative: boolean, random: number): number {
  const { ttlMs, softTtlMs, negativeTtlMs, earlyRefresh } = life
  const hardMs = isNegative ? negativeTtlMs : ttlMs
  const lifeMs = softTtlMs > 0 ? Math.min(softTtlMs, hardMs) : hardMs
  // 1 − random is in (0, 1]: the logarithm of 0 would be due at any age.
  return storedAt + lifeMs + costMs * earlyRefresh * Math.log(1 - random)
}
