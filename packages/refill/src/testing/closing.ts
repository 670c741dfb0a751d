import { defineSource } from '@tidemark/protocol'

/** What the process that ends is told. */
export interface ClosingSetup {
  readonly primaryUrl: string
  readonly redisUrl: string
  readonly keyPrefix: string
  readonly readMs: number
}

/** The shop of {@link ShopContext}, whose values are refreshed behind their readers. */
export function closingSource(keyPrefix: string) {
  const refreshed = { reaction: 'refresh', whenUnprovable: 'serve-stale', retainStaleMs: 60_000 } as const
  const contract = { ...refreshed, maxStalenessMs: 60_000 }
  return defineSource({
    ...{ name: 'shop', partitions: 1, keyPrefix },
    keyspaces: { product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } }, contract } },
  })
}
