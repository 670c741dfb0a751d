import type { Pool } from 'pg'

/** What is cached: a row as JSON, of about 300 bytes. */
export interface Row {
  readonly id: number
  readonly n: number
  readonly detail: string
}

/** Whatever can be asked for a row: a pool, or the one connection that Tidemark gives to a load. */
export interface Queryable {
  query<R>(text: string, values: unknown[]): Promise<{ rows: R[] }>
}

/** Where the apps of a library are opened. */
export interface Place {
  /** The name of Tidemark's source; others make a prefix of it. */
  readonly name: string
  readonly redisUrl: string
  readonly primary: Pool
  /** Always some milliseconds behind; null where loads go to the primary. */
  readonly replica: Pool | null
  /** The one load, of all libraries. */
  load(db: Queryable, id: number): Promise<Row>
}

/** One process of an app, as far as its cache goes: with memory and connections of its own. */
export interface App extends AsyncDisposable {
  get(id: number): Promise<Row>
  /** What the app does once its write is committed. */
  written(id: number): Promise<void>
}

/** A library as its own documents recommend to use it. */
export interface Library {
  readonly name: string
  open(place: Place): Promise<App>
  /** Of one that keeps values in memory or in Redis, but not in both by itself: the app with memory alone. */
  openInMemory?(place: Place): Promise<App>
  /** Keeps no values in memory at all. */
  readonly hasNoMemory?: boolean
  /** Whether publisher and worker have to run for it. */
  readonly needsPipeline?: boolean
  /** Waits until everything that was written has been told to the apps, where somebody else does that. */
  toldOfWrites?(place: Place): Promise<void>
}

/** Longer than any run: what is stale stays so until somebody writes again. */
export const TTL_MS = 3_600_000
/** No library has to evict. */
export const MOST_IN_MEMORY = 50_000

/** Where the load of a library that knows nothing of labels reads. */
export function sourceOf({ replica, primary }: Place): Pool {
  return replica ?? primary
}
