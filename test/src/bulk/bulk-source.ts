import { defineSource } from '@tidemark/protocol'

/** Two keyspaces of one table, both of which a bulk change overflows; the limits are the defaults. */
export function bulkSource(name: string) {
  return defineSource({
    name,
    partitions: 4,
    keyspaces: {
      rows: { key: 'row:{id}', tables: { 'public.bulk': { id: 'id' } } },
      pairs: { key: 'pair:{id}:{n}', tables: { 'public.bulk': { id: 'id', n: 'n' } } },
    },
  })
}
