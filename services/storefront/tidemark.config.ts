import { defineSource } from '@tidemark/protocol'

/** What the example shop caches, and the rows that each value is made of. Publisher, workers and shop share it. */
export default defineSource({
  name: 'shop',
  keyspaces: {
    // Two tables make one value: a change of either invalidates it. A price is never shown without proof.
    product: {
      key: 'product:{id}',
      tables: { 'public.product': { id: 'id' }, 'public.price': { id: 'product_id' } },
      contract: { maxStalenessMs: 3_000 },
    },
    // Many rows make one value. An old review is better than none, as long as it says that it is old.
    reviews: {
      key: 'product:{id}:reviews',
      tables: { 'public.review': { id: 'product_id' } },
      contract: { maxStalenessMs: 30_000, retainStaleMs: 60_000, whenUnprovable: 'serve-stale' },
    },
  },
})
