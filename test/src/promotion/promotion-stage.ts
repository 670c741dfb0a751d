import type { PostgresServer } from '@tidemark/local'
import type { Lsn } from '@tidemark/protocol'
import type { Replica } from '@tidemark/refill'
import type { Writers } from '../pipeline/writers.ts'
import { MovablePool } from './movable-pool.ts'
import { cutOff, type PrimaryServer } from './primary-server.ts'
import { IDS, PromotionContext, type PromotionOptions, SESSION_IDS } from './promotion-context.ts'
import { PromotionReaders } from './promotion-readers.ts'
import { type PromotionReport, reportOf } from './promotion-report.ts'
import { rowWriters } from './row-writers.ts'

export interface StageOptions extends PromotionOptions {
  /** Whether two more apps stay with the first primary and a replica of it, whatever happens. */
  readonly staying?: boolean
  /** Of the standby alone. */
  readonly standbySettings?: Readonly<Record<string, string | number | boolean>>
}

/** What every scenario begins with: a primary with a standby, rows that are written and read, apps in one region. */
export class PromotionStage implements AsyncDisposable {
  readonly context: PromotionContext
  readonly standby: PostgresServer
  /** Where the apps go that are told of a failover. */
  readonly pool: MovablePool
  readonly readers: PromotionReaders
  readonly #primaries: PrimaryServer[]
  readonly #writers: Writers[] = []
  readonly #resources: AsyncDisposableStack

  private constructor(
    parts: Pick<PromotionStage, 'context' | 'standby' | 'pool' | 'readers'>,
    resources: AsyncDisposableStack,
  ) {
    this.context = parts.context
    this.standby = parts.standby
    this.pool = parts.pool
    this.readers = parts.readers
    this.#resources = resources
    this.#primaries = [this.context.first]
  }

  static async open(options: StageOptions = {}): Promise<PromotionStage> {
    const resources = new AsyncDisposableStack()
    try {
      const context = resources.use(await PromotionContext.open(options))
      const { first } = context
      const standby = await context.standbyOf(first.server, 'standby', options.standbySettings)
      const pool = new MovablePool(first.pool)
      const apps = [await context.openApp(pool), await context.openApp(pool, [replica(context, 'standby', standby)])]
      if (options.staying) {
        const follower = replica(context, 'follower', await context.standbyOf(first.server, 'follower'))
        apps.push(await context.openApp(first.pool), await context.openApp(first.pool, [follower]))
      }
      const readers = resources.use(new PromotionReaders(context, [...IDS, ...SESSION_IDS], apps))
      return new PromotionStage({ context, standby, pool, readers }, resources)
    } catch (error) {
      await resources.disposeAsync()
      throw error
    }
  }

  /** Once the region trusts its views, rows are read and written. */
  async begin(): Promise<void> {
    await this.context.caughtUp(this.primary)
    this.#write(this.primary)
    this.readers.start()
  }

  get primary(): PrimaryServer {
    return this.#primaries.at(-1)!
  }

  /**
   * Cuts the standby off; what is committed from here on reaches the primary alone, and is read as fresh, far beyond
   * what the standby's log soon reaches.
   * @returns where the first of these commits begins, at the earliest
   */
  async loseWrites(standby: PostgresServer = this.standby): Promise<Lsn> {
    await this.readers.freshFrom(this.primary, 30)
    await cutOff(standby)
    await this.primary.leapAhead()
    const lost = await this.primary.end()
    await this.readers.freshFrom(this.primary, 60)
    return lost
  }

  /** Promotes the standby, moves the apps that are told, and writes there. Whoever writes to the old primary goes on. */
  async failOver(standby: PostgresServer = this.standby): Promise<PrimaryServer> {
    const primary = await this.context.promote(standby, this.primary)
    this.#primaries.push(primary)
    this.pool.moveTo(primary.pool)
    this.#write(primary)
    return primary
  }

  /** The apps that are told of failovers come up anew: they know nothing, and their users have tokens. */
  async restartApps(): Promise<void> {
    for (const at of [0, 1]) this.readers.replace(at, await this.context.openApp(this.pool))
  }

  /** Ends reading and writing, and holds the one against the other. The newest primary's history is what remains. */
  async report(): Promise<PromotionReport> {
    await this.readers.stop()
    for (const writers of this.#writers) await writers.stop()
    return reportOf(this.readers, this.#primaries)
  }

  #write(primary: PrimaryServer): void {
    this.#writers.push(this.#resources.use(rowWriters(this.context, primary, IDS)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

function replica(context: PromotionContext, name: string, server: PostgresServer): Replica {
  return { name, pool: context.poolOf(server) }
}
