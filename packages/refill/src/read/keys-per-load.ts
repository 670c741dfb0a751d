/** Most keys of one load. */
const KEYS_PER_LOAD = 500

/** What is to be loaded, as much as goes into one load at a time. */
export function inLoads<T>(all: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(all.length / KEYS_PER_LOAD) }, (_, i) =>
    all.slice(i * KEYS_PER_LOAD, (i + 1) * KEYS_PER_LOAD),
  )
}
