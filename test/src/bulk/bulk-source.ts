import { defineSource } from '@tidemark/protocol'

/** Two keyspaces of one table, one updated in place; a bulk change overflows both, and the limits are the defaults. */
export function bulkSource(name: string) {
  return defineSource({
    name,
    partitions: 4,
    keyspaces: {
      rows: {
        key: 'row:{id}',
        tables: { 'public.bulk': { id: 'id' } },
        contract: { reaction: 'update' },
        projection: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`shown${i}`, { column: 'filler' }])),
      },
      pairs: { key: 'pair:{id}:{n}', tables: { 'public.bulk': { id: 'id', n: 'n' } } },
    },
  })
}
