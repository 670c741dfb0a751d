import { lsnOf, parseLsn, type Source, type SourceConfig } from '@tidemark/protocol'
import { PublisherContext, type RunningPublisher } from './publisher-context.ts'

/** What was published of some statements. */
export interface Outcome {
  /** Each once, sorted. */
  readonly keys: readonly string[]
  /** The keyspaces that became floors, each once, sorted. */
  readonly floors: readonly string[]
}

export interface RowsOptions {
  /** Makes the tables; run before the publisher starts. */
  readonly tables: string
  readonly keyspaces: SourceConfig['keyspaces']
  readonly serverUrl?: string
  /** Made before the start, instead of the publisher's own. */
  readonly publication?: string
}

/** Tables of a test's own that a publisher follows, and what it publishes of each change. For tests alone. */
export class RowsContext implements AsyncDisposable {
  readonly pub: PublisherContext
  readonly source: Source
  publisher: RunningPublisher

  private constructor(pub: PublisherContext, source: Source) {
    this.pub = pub
    this.source = source
    this.publisher = pub.start(source)
  }

  static async open({ tables, keyspaces, serverUrl, publication }: RowsOptions): Promise<RowsContext> {
    const pub = await PublisherContext.open(serverUrl === undefined ? {} : { serverUrl })
    try {
      await pub.sql.query(tables)
      const source = pub.source(keyspaces)
      if (publication !== undefined) await pub.sql.query(`create publication ${source.publication} ${publication}`)
      const rows = new RowsContext(pub, source)
      await pub.follow(source)
      await pub.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
      return rows
    } catch (error) {
      await pub[Symbol.asyncDispose]()
      throw error
    }
  }

  get sql(): PublisherContext['sql'] {
    return this.pub.sql
  }

  /** Runs the statements, one after the other, and gives all that was published until a watermark passed them. */
  async outcome(...statements: readonly string[]): Promise<Outcome> {
    const before = this.pub.records.length
    for (const statement of statements) await this.sql.query(statement)
    await this.settled()
    return outcomeOf(this.pub.records.slice(before))
  }

  /** The same, as the newest event of each key says it: the row's projection, or null for none. */
  async projections(...statements: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
    const before = this.pub.records.length
    await this.outcome(...statements)
    const events = this.pub.records.slice(before).filter((r) => r.kind === 'event')
    const told = events.map((e) => [e.key, e.projection ? JSON.parse(e.projection.toString()) : null] as const)
    return Object.fromEntries(new Map(told.sort(([a], [b]) => (a < b ? -1 : 1))))
  }

  /** Resolves once a watermark on every partition has passed what is written by now. */
  async settled(): Promise<void> {
    const { pub, source } = this
    const written = parseLsn(await pub.value<string>('select pg_current_wal_insert_lsn()::text'))
    const passed = (partition: number) =>
      pub.records.some((r) => r.kind === 'watermark' && r.partition === partition && lsnOf(r.position) >= written)
    const partitions = Array.from({ length: source.partitions }, (_, partition) => partition)
    await pub.until('the watermarks pass what was written', () => partitions.every(passed))
  }

  /** Waits for a floor of the keyspace, on every partition, that `cause` brings about sooner or later. */
  async untilFloor(keyspace: string, cause: () => Promise<unknown>): Promise<void> {
    const { pub, source } = this
    const before = pub.records.length
    await cause()
    await pub.until(`a floor of ${keyspace}`, (records) => {
      const floors = records.slice(before).filter((r) => r.kind === 'floor' && r.keyspace === keyspace)
      return new Set(floors.map((r) => r.partition)).size === source.partitions
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.pub[Symbol.asyncDispose]()
  }
}

function outcomeOf(records: PublisherContext['records']): Outcome {
  return {
    keys: sorted(records.flatMap((r) => (r.kind === 'event' ? [r.key] : []))),
    floors: sorted(records.flatMap((r) => (r.kind === 'floor' ? [r.keyspace] : []))),
  }
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort()
}
