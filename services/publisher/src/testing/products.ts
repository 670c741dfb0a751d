import { epochOf, type Source } from '@tidemark/protocol'
import { Client } from 'pg'
import { PublisherContext } from './publisher-context.ts'

export const PRODUCTS = { products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } } as const
/** Back-off that a test need not wait for. */
export const QUICK = { minRetryMs: 20, maxRetryMs: 200 }

/** One table, one keyspace, two partitions, and what tests of a slot's life ask of them. */
export class Products implements AsyncDisposable {
  readonly ctx: PublisherContext
  readonly source: Source

  private constructor(ctx: PublisherContext) {
    this.ctx = ctx
    this.source = ctx.source(PRODUCTS)
  }

  static async open(serverUrl: string, more: { brokers?: string } = {}): Promise<Products> {
    const ctx = await PublisherContext.open({ serverUrl, ...more })
    await ctx.sql.query('create table product (id int primary key, name text)')
    return new Products(ctx)
  }

  /** A publisher whose first epoch is announced. */
  async start(options: Parameters<PublisherContext['start']>[1] = {}) {
    const publisher = this.ctx.start(this.source, { ...QUICK, ...options })
    await this.ctx.follow(this.source)
    await this.announced(1)
    return publisher
  }

  /** A publisher that is opening its second epoch, and the transaction that it waits for. */
  async opening() {
    await (await this.start()).stop()
    await this.ctx.sql.query('update tidemark.epoch set timeline = 99')
    const running = await this.writing(1)
    this.ctx.start(this.source)
    await this.ctx.untilTrue('it waits', () => this.logs('the epoch waits for a running transaction'))
    return running
  }

  async insert(id: number): Promise<void> {
    await this.ctx.sql.query("insert into product values ($1, 'x')", [id])
  }

  /** Until the event of that row is in Kafka, in that epoch. */
  async published(id: number, epoch: number): Promise<void> {
    const isIt = (e: { key: string; version: string }) => e.key === `product:${id}`
    await this.ctx.until(`product ${id} in epoch ${epoch}`, () =>
      this.ctx.events().some((e) => isIt(e) && epochOf(e.version) === epoch),
    )
  }

  /** Until an epoch, which is the floor of every keyspace, is announced on every partition. */
  async announced(epoch: number): Promise<void> {
    await this.ctx.until(`epoch ${epoch} is announced`, (records) => {
      const announced = records.filter((r) => r.kind === 'epoch' && epochOf(r.position) === epoch)
      return new Set(announced.map((r) => r.partition)).size === this.source.partitions
    })
  }

  /** Why epochs were opened, in order, as the log says it at level `warn`. */
  causes(): unknown[] {
    return this.ctx.logged.filter((l) => l.msg.endsWith('a new epoch') && l.level === 40).map((l) => l.cause)
  }

  logs(text: string): boolean {
    return this.ctx.logged.some((l) => JSON.stringify(l).includes(text))
  }

  /** Something that `pg_replication_slots` says of the slot. */
  async slot<T>(column: string): Promise<T> {
    return this.ctx.value<T>(`select ${column} from pg_replication_slots where slot_name = $1`, [this.source.slot])
  }

  /** Ends whoever streams and drops the slot in the same moment. */
  async snatchSlot(): Promise<void> {
    const { ctx, source } = this
    const end =
      'select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = $1 and active'
    await ctx.sql.query(end, [source.slot])
    await ctx.dropSlot(source)
  }

  async createSlot(more = ''): Promise<void> {
    await this.ctx.sql.query(`select pg_create_logical_replication_slot($1, 'pgoutput'${more})`, [this.source.slot])
  }

  /** A session of an app's, with a transaction that has written. */
  async writing(id: number): Promise<Client & AsyncDisposable> {
    const client = new Client({ connectionString: this.ctx.url, application_name: 'a till' })
    client.on('error', () => undefined)
    await client.connect()
    await client.query('begin')
    await client.query("insert into product values ($1, 'x')", [id])
    return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
  }

  /** Fills segments of the log, and lets the server throw away what it may. */
  async fillLog(segments: number, checkpoint = true): Promise<void> {
    for (let i = 0; i < segments; i++) {
      await this.ctx.sql.query("select pg_logical_emit_message(false, 'filler', ''), pg_switch_wal()")
    }
    if (checkpoint) await this.ctx.sql.query('checkpoint')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ctx[Symbol.asyncDispose]()
  }
}
