import { type Cell, judge, type View } from '@tidemark/guard'
import type { Source } from '@tidemark/protocol'
import type { Product } from '@tidemark/storefront'

/** A cached product, with the view that was read in the same command. */
export interface CachedProduct {
  readonly id: number
  readonly view: View | null
  readonly cell: Cell | null
}

export interface Audit {
  readonly checked: number
  /** Served as fresh, and equal to their row. */
  readonly right: number
  /** Served as fresh, and different from their row. There must be none. */
  readonly stale: number
  /** In the cache, and not served as fresh. */
  readonly withheld: number
}

/** Compares every cached product with its row, by the decision that the shop itself makes. */
export function audit(
  source: Source,
  cached: readonly CachedProduct[],
  rows: ReadonlyMap<number, Product>,
  now: number,
): Audit {
  const { name, contract } = source.keyspaces.product!
  const terms = { keyspace: name, contract, clockSkewMs: source.clockSkewMs, demand: null }
  const values = cached.flatMap(({ id, view, cell }) => (cell === null ? [] : [{ id, view, cell }]))
  const served = values.filter(({ view, cell }) => judge(view, cell, terms, now).fresh)
  const right = served.filter(({ id, cell }) => isSame(JSON.parse(cell.payload.toString()), rows.get(id))).length
  return {
    checked: values.length,
    right,
    stale: served.length - right,
    withheld: values.length - served.length,
  }
}

function isSame(cached: Product | null, row: Product | undefined): boolean {
  if (cached === null || row === undefined) return cached === null && row === undefined
  return cached.id === row.id && cached.name === row.name && cached.priceCents === row.priceCents
}
