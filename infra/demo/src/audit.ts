import { type Cell, decodePayload, judge, type View } from '@tidemark/guard'
import type { Product } from '@tidemark/storefront'

/** A cached product, with the view that was read in the same command. */
export interface CachedProduct {
  readonly id: number
  readonly view: View | null
  readonly cell: Cell | null
}

export interface Audit {
  /** Values in the cache. */
  readonly checked: number
  /** Different from their row. While a worker is dead there may be many; they must not be served for long. */
  readonly outdated: number
  /** Served as fresh by the view in hand, at once or as soon as its next beat comes. */
  readonly served: number
  /** Of these, different from their row. Once all is applied there must be none. */
  readonly stale: number
}

/** Age is left out: a view that is old now is young again with its next beat, and serves what it holds. */
const AGELESS = { maxStalenessMs: Number.POSITIVE_INFINITY }

/** Compares every cached product with its row, by the decision that the shop itself makes. */
export function audit(cached: readonly CachedProduct[], rows: ReadonlyMap<number, Product>): Audit {
  const terms = { keyspace: 'product', contract: AGELESS, clockSkewMs: 0, demand: null }
  const values = cached.flatMap(({ id, view, cell }) => (cell === null ? [] : [{ id, view, cell }]))
  const served = values.filter(({ view, cell }) => judge(view, cell, terms, 0).fresh)
  const isOutdated = ({ id, cell }: { id: number; cell: Cell }) => !isSame(productIn(cell), rows.get(id))
  return {
    checked: values.length,
    outdated: values.filter(isOutdated).length,
    served: served.length,
    stale: served.filter(isOutdated).length,
  }
}

function productIn(cell: Cell): Product | null {
  return JSON.parse(decodePayload(cell.payload).body.toString()) as Product | null
}

function isSame(cached: Product | null, row: Product | undefined): boolean {
  if (cached === null || row === undefined) return cached === null && row === undefined
  return cached.id === row.id && cached.name === row.name && cached.priceCents === row.priceCents
}
