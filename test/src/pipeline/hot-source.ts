import { defineSource, type SourceConfig } from '@tidemark/protocol'

export interface HotOptions {
  readonly partitions?: number
  readonly contract?: object
  /** Keyspaces beside it, for a test that opens a Tidemark of its own over all of them. */
  readonly beside?: SourceConfig['keyspaces']
  readonly projection?: NonNullable<SourceConfig['keyspaces'][string]['projection']>
}

/** The source of the end-to-end tests: one table of counters, one keyspace; its name is its key prefix too. */
export function hotSource(name: string, { partitions = 4, contract = {}, projection, beside }: HotOptions = {}) {
  return defineSource({
    name,
    partitions,
    keyPrefix: name,
    keyspaces: {
      hot: { key: 'hot:{id}', tables: { 'public.hot': { id: 'id' } }, contract, ...(projection && { projection }) },
      ...(beside as object),
    },
  })
}
