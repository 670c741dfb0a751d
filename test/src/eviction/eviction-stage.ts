import { PostgresServer } from '@tidemark/local'

/** How far the replica is behind: what a tombstone is for, and what its loss would let in. */
const REPLICA_DELAY = '1s'

/** A primary, and a replica that is always behind. */
export class EvictionStage implements AsyncDisposable {
  readonly primary: PostgresServer
  readonly replica: PostgresServer

  private constructor(primary: PostgresServer, replica: PostgresServer) {
    this.primary = primary
    this.replica = replica
  }

  static async open(): Promise<EvictionStage> {
    await using undo = new AsyncDisposableStack()
    const primary = undo.use(await PostgresServer.start({ durable: false }))
    const settings = { recovery_min_apply_delay: REPLICA_DELAY }
    const replica = await primary.createReplica({ name: 'behind', settings })
    undo.move()
    return new EvictionStage(primary, replica)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.replica[Symbol.asyncDispose]()
    await this.primary[Symbol.asyncDispose]()
  }
}
