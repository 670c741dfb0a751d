/** How many tombstone generations a partition has; the Lua commands know the same number. */
export const GENERATIONS = 4

/** The names of a partition's keys in Redis. All carry its hash tag, so all lie in one slot. */
export interface PartitionKeys {
  readonly view: string
  readonly generations: readonly string[]
  /** The pub/sub channel on which the partition's batches are told. */
  readonly feed: string
  /** The cell of a cache key. */
  cell(key: string): string
}

export function partitionKeys(prefix: string, partition: number): PartitionKeys {
  const generations = Array.from({ length: GENERATIONS }, (_, slot) => `${prefix}.tombstones:{${partition}}:${slot}`)
  return {
    view: `${prefix}.view:{${partition}}`,
    generations,
    feed: `${prefix}.feed:{${partition}}`,
    cell: (key) => `${prefix}:{${partition}}:${key}`,
  }
}
