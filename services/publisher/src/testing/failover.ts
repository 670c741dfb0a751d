import { type PostgresServer, type PostgresSettings, waitUntil } from '@tidemark/local'
import { epochOf } from '@tidemark/protocol'
import { Products, QUICK } from './products.ts'

const DEADLINE_MS = 30_000

/** Two publishers of one source in one log: one for each side. */
export class Failover implements AsyncDisposable {
  readonly products: Products
  readonly standby: PostgresServer
  readonly #primary: PostgresServer

  private constructor(primary: PostgresServer, products: Products, standby: PostgresServer) {
    this.#primary = primary
    this.products = products
    this.standby = standby
  }

  static async open(primary: PostgresServer, name: string, settings: PostgresSettings = {}): Promise<Failover> {
    const products = await Products.open(primary.url())
    return new Failover(
      primary,
      products,
      await primary.createReplica({ name, settings: { ...settings, fsync: false } }),
    )
  }

  startOld() {
    return this.products.start({ log: this.products.ctx.log.child({ side: 'old' }) })
  }

  startNew() {
    const { ctx, source } = this.products
    const log = ctx.log.child({ side: 'new' })
    return ctx.start(source, { ...QUICK, postgresUrl: this.standby.url(ctx.name), log })
  }

  /** Once the standby has replayed all that the primary has written until now. */
  async promote(): Promise<void> {
    const [written] = await this.#primary.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn')
    const replayed = 'select pg_last_wal_replay_lsn() >= $1::pg_lsn as done'
    const isDone = async () => (await this.standby.query<{ done: boolean }>(replayed, [written!.lsn]))[0]!.done
    await waitUntil('the standby has replayed it', isDone, { timeoutMs: DEADLINE_MS })
    await this.standby.promote()
  }

  onNew(sql: string) {
    return this.standby.query<Record<string, unknown>>(sql, [], this.products.ctx.name)
  }

  logs(side: 'old' | 'new', text: string): number {
    const lines = this.products.ctx.logged.filter((l) => l.side === side)
    return lines.filter((l) => JSON.stringify(l).includes(text)).length
  }

  /** Which timelines announced each epoch. */
  announced(): Map<number, Set<number>> {
    const timelines = new Map<number, Set<number>>()
    for (const record of this.products.ctx.records) {
      if (record.kind !== 'epoch') continue
      const epoch = epochOf(record.position)
      timelines.set(epoch, (timelines.get(epoch) ?? new Set()).add(record.timeline))
    }
    return timelines
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.products[Symbol.asyncDispose]()
    await this.standby[Symbol.asyncDispose]()
  }
}
